"""What holds for all tests."""

import signal

# A shell that starts something in the background lets it ignore Ctrl-C, and all that it starts: then no
# test could send one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
