"""The command line: `python -m rshelve verify FILE`, `python -m rshelve salvage FILE NEW`."""

from __future__ import annotations

import argparse
import sys

from rshelve import error, salvage, verify


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        The words behind the program's name; those of the process by default.

    Returns
    -------
    int
        0 when nothing is wrong, 1 when something is damaged or was lost, 2 when that cannot be told.
    """
    parser = argparse.ArgumentParser(prog="python -m rshelve", description="Look after shelves.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("verify", help="look at everything that the last checkpoint of a file reaches")
    one.add_argument("file")
    other = commands.add_parser("salvage", help="save what can be read of a damaged file into a new one")
    other.add_argument("file")
    other.add_argument("new", help="the new file, which may not exist")
    chosen = parser.parse_args(arguments)
    try:
        report = verify(chosen.file) if chosen.command == "verify" else salvage(chosen.file, chosen.new)
    except (error, OSError) as why:
        print(f"rshelve: {why}", file=sys.stderr)
        return 2
    print(report)
    return 0 if report else 1


if __name__ == "__main__":
    sys.exit(main())
