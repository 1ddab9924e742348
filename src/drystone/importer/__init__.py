"""Recorded tables (CSV) as measurements, digit by digit: `mapping` says how, `rows` does it."""
