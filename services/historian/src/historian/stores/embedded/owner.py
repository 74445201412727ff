"""One process at a time owns a store."""

import fcntl
import os
from pathlib import Path

from historian.errors import StoreDamagedError


def own(directory: Path) -> int:
    """Take the directory for this process; return the handle that holds it. The lock ends with the process.

    Raises:
        StoreDamagedError: another process has it.
    """
    handle = os.open(directory / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(handle)
        raise StoreDamagedError(f"{directory} is in use by another historian; stop that one first") from exc
    return handle
