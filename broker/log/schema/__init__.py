"""The released schemas, and what may be released beside them."""
