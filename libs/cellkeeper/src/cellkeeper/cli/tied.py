"""`python -m cellkeeper.cli.tied [--user N] PROGRAM …`: runs a program that ends with our parent, even by kill -9.

The kernel's parent-death signal is asked for here and not in the program, because a broker that is started as root
changes its user, and with that the kernel forgets the request.
"""

import signal
import subprocess
import sys
import types
from typing import Final

from cellkeeper.runtime.service import end_with_parent

STOP_DEADLINE_S: Final = 5.0  # a broker that closes its connections needs less than one


def main(command: list[str]) -> int:
    """Run `command`, as another user when it begins with `--user N`, and return its exit code.

    SIGTERM and SIGINT end it; SIGHUP, by which a broker reads its certificate again, is passed on.
    """
    user = None
    if command[0] == "--user":
        user, command = int(command[1]), command[2:]
    groups = None if user is None else [user]
    with subprocess.Popen(command, user=user, group=user, extra_groups=groups) as program:  # noqa: S603  # a fixed one

        def end(_number: int, _frame: types.FrameType | None) -> None:
            program.terminate()

        def pass_on(number: int, _frame: types.FrameType | None) -> None:
            program.send_signal(number)

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGHUP, pass_on)
        end_with_parent()
        return program.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
