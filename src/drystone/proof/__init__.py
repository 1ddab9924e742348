"""What convinces a stranger offline: receipts, completeness, finality, trust. Pure."""
