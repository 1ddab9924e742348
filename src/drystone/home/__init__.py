"""A node's home on disk: settings, keys, tokens, the audit log, and where each file lies."""
