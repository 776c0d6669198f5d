"""What delivery holds between its steps: mailbox, parked lanes, attempts, marks."""
