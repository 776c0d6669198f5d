"""How a delivery ends: receipts, notices and dossiers, made durable in few writes."""
