"""Time is law: the limits that run on a case, and the cards that warn of them."""
