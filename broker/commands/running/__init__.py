"""Who keeps the broker running: Kafka, set-up, the stages, how far behind they are, the view made again."""
