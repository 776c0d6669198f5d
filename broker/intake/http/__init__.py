"""What every route is made of: proof of the caller, bounded bodies, parameters, answers."""
