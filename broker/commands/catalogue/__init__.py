"""Who keeps the catalogue: partners, items, agreements, schemas."""
