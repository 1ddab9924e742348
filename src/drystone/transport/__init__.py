"""Bytes in, bytes out: no rules live here."""
