"""From one submitted event to the ledger: checked, judged, sealed, written."""
