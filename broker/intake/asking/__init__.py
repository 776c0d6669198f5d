"""What partners pull, acknowledge and ask."""
