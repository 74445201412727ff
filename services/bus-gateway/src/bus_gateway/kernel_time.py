"""What the kernel says of its clock's discipline: adjtimex(2), read only."""

import ctypes
from functools import cache
from typing import Final

from bus_gateway.timekeeping import KernelSync

_TIMEX_BYTES: Final = 512  # struct timex is 208 bytes on 64 bit; `modes` is its first int, 0 asks without setting
_TIME_ERROR: Final = 5


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def kernel_sync() -> KernelSync:
    """Return `synced` when a time service keeps the kernel's clock within its error bounds, else `unsynced`."""
    ask = getattr(_libc(), "adjtimex", None)  # Linux only
    if ask is None:
        return "unsynced"
    state = ask(ctypes.create_string_buffer(_TIMEX_BYTES))
    return "synced" if 0 <= state < _TIME_ERROR else "unsynced"


def always_synced() -> KernelSync:
    """Return `synced`: a scaled clock is given to every process and cannot drift."""
    return "synced"
