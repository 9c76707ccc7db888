"""Use cases without a command line: functions that take values and a reporter, and return frozen values."""
