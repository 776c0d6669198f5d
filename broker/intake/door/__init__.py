"""The listening socket and the table of routes: from a request to its handler and back."""
