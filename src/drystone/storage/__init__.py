"""What survives power loss: vertices.db, ledger.db, and their twins in memory."""
