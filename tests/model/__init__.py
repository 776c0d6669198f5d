"""The life cycle against an independent naive model: random walks of all that everybody may say, at any time."""
