"""This worker in its group: what it is assigned, reads, recalls and commits."""
