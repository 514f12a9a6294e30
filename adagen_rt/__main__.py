"""`python -m adagen_rt` is the command line."""

from adagen_rt.cli import main

main()
