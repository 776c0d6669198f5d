"""Reading the ledger back: replay and, later, proofs."""
