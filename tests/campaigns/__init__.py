"""Long runs against the real parts, by hand: ``python -m tests.campaigns kills|isolation --help``.

The suite runs the same code for a short while; a campaign runs it until a bound can be stated.
"""
