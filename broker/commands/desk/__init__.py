"""The clerk of the 办不成事 desk: what lies on it, why, and what a named person does about it."""
