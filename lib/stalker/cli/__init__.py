"""The command line: each command is a straight line of calls."""
