"""Drystone: a ledger for devices in the field. See `docs/life-of-a-record.md` for the way in."""

__version__ = "0.1.0"
