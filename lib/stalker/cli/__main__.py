"""`python -m stalker.cli`, as the launcher calls it."""

from stalker.cli.main import main

main()
