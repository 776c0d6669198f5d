"""The commands of ``tongban``, one file each; ``broker/cli.py`` puts them together."""
