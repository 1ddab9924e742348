"""A running node as the REST API sees it: reads, proofs, events, health over the node's databases and processes."""
