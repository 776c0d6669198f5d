"""Time is law: working days, a case's clock, its limits, and the cards that warn of them."""
