"""Merkle structures: the log (RFC 9162), its tiles (C2SP), the state map (ICS-23). Pure."""
