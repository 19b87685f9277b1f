"""``python -m jobs``: the command line where nothing is installed."""

from jobs.cli import main

main()
