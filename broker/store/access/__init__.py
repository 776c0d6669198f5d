"""The database at work: engines, whole transactions off the loop, prepared statements, migrations."""
