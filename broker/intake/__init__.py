"""The partner API: what partners submit, pull and ask. One table of routes, one answer per request."""
