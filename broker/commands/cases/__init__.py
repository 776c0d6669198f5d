"""Who looks after cases: one case, what falls due, what was said."""
