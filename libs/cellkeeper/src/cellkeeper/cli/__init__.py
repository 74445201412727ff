"""The `cellkeeper` command: its frame, and the commands that need no service's code."""
