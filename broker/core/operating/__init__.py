"""What named persons do: the 办不成事 desk and the levers of a partner's line."""
