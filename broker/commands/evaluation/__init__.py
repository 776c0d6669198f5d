"""The evaluator: findings, reconciliation, figures for outside."""
