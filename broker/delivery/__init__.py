"""Delivery: what lies on the outboxes is brought to the partners, in order per case, and receipted."""
