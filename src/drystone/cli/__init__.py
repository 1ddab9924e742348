"""The command line: one file per command group, heavy imports inside the commands, so that `--help` is quick."""

from drystone.cli.app import main

__all__ = ["main"]
