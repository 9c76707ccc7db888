"""`python -m stalker.cli`, as the launcher calls it, and `start`, which an installed `stalker` calls."""

import os
import sys

from stalker.app.nothing_to_do import run_unchanged
from stalker.cli.short_way import plain_run


def start() -> None:
    """Do a run with nothing to do the short way, anything else by the command line; exit."""
    # Where a caller closed a stream, the next socket would get its number, and what is printed with it.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    plain = plain_run(sys.argv[1:])
    summary = run_unchanged(plain[0], plain[1], sys.argv[1:], os.environ) if plain is not None else None
    if plain is not None and summary is not None:
        if not plain[2]:
            print(summary, file=sys.stderr)
        sys.stderr.flush()
        os._exit(0)
    from stalker.cli.main import main  # late: click and what else only a longer run needs (40 ms)

    main()


if __name__ == "__main__":
    start()
