"""A node as processes: the wiring, its supervisor, what a commit sets off, its logs."""
