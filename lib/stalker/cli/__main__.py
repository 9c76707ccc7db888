"""`python -m stalker.cli`, as the launcher calls it."""

import os
import sys

from stalker.cli.unchanged import run_unchanged

if run_unchanged(sys.argv[1:], os.environ):
    sys.stderr.flush()
    os._exit(0)

from stalker.cli.main import main

main()
