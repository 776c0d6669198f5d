"""Who tries the broker out: the demo, the founding scenarios, a message sent by hand."""
