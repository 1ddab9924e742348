"""Who decides the order: local inside one node, CometBFT between organisations."""
