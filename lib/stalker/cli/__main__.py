"""`python -m stalker.cli`, as the launcher calls it."""

import os
import sys

from stalker.cli.unchanged import run_unchanged

# Where a caller closed a stream, the next socket would get its number, and what is printed with it.
for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
    if getattr(sys, name) is None:
        setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115

if run_unchanged(sys.argv[1:], os.environ):
    sys.stderr.flush()
    os._exit(0)

from stalker.cli.main import main  # noqa: E402  only where more is to do

main()
