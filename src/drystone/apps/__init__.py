"""The apps: contracts that come with the program, one folder each, with profiles, a scenario and tests.

The ledger knows none of them; nothing below this room imports from it.
"""
