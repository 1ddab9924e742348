"""The workshop: what an author of contracts works with. Beside the ledger, never inside a node."""
