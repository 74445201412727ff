"""The modes a string can be in, by their names on the wire."""

from typing import Final, Literal

type Mode = Literal["float", "boost", "recharge", "discharge", "rest", "open", "test", "unknown"]

MODES: Final[tuple[Mode, ...]] = ("float", "boost", "recharge", "discharge", "rest", "open", "test", "unknown")
