"""Where the command line begins. It imports the rest late, so that Ctrl-C during the imports is no traceback."""

import sys
from typing import Final

INTERRUPTED: Final = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        from cellkeeper.cli.frame import run  # noqa: PLC0415  # most of the first second

        return run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
