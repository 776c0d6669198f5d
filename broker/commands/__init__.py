"""The commands of ``tongban``, a module each, in rooms by who uses them; ``broker/cli.py`` puts them together."""
