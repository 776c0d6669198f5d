"""Topics, partitions and groups: their names, their places, their bounds."""
