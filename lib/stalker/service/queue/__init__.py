"""What runs next, and the thread that starts, watches and ends builds."""
