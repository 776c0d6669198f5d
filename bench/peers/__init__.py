"""The delivery bench's contenders: each a program that reads one topic and posts every record, until SIGTERM."""
