"""Writing the log: one idempotent producer, one batch in flight per partition."""
