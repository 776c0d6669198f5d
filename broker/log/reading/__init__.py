"""Reading the log: as a member of a group, without one, and how far a group is behind."""
