"""The command line: starts, feeds and examines an installation."""
