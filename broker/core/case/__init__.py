"""One case: its states, who may say what, what that changes, and to whom it goes."""
