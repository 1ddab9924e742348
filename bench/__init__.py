"""The bench: what one node does, as ratios against the machine's own limit, in one run. `python -m bench`."""
