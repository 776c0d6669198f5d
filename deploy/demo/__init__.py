"""The demo: partner cities and their authorities as programs of their own, and the scenarios that they perform.

Everything here stands where a partner's engineer stands: it knows the contract and public libraries, and
nothing of the broker's code. Read ``city.py`` first; it is the model of how a city connects. ``roster.toml``
says who plays, ``directory/`` what they have agreed, ``scenarios/`` what happens.
"""
