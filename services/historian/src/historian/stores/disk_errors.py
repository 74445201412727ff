"""An error of the disk as the reaction that it asks for. Pure."""

import errno
from typing import Final

from historian.errors import StoreFailedError, StoreFullError

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def store_error(exc: OSError, what: str) -> StoreFullError | StoreFailedError:
    """Return the error by which a caller reacts to an OSError of the disk."""
    if exc.errno in NO_ROOM:
        return StoreFullError(f"{what}: no room on the disk ({exc.strerror}); make room, nothing acknowledged is lost")
    return StoreFailedError(f"{what}: {exc}")
