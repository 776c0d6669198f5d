"""What is derived from the ledger, and can be made again from it."""
