"""Pages for operations and audit."""
