"""What the directory's documents say: partners, items, bundles, agreements."""
