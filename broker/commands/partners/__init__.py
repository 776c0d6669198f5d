"""The operator towards partners: how each stands, and the levers that a named person pulls."""
