"""One line per partner: its lanes, limits, levers and circuit at work on its connector."""
