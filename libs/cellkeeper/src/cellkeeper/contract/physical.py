"""Physical borders of the wire, the quality codes and the status bits.

Sign convention of the whole suite: positive current charges. Only a decoder or an importer may flip a sign.
"""

from enum import IntEnum, IntFlag
from typing import Annotated, Final

from pydantic import Field

UnitVolts = Annotated[float, Field(ge=-40.0, le=40.0)]
"""Volts of one unit (a cell or a block), signed: a reversed one is negative."""
StringVolts = Annotated[float, Field(ge=-2000.0, le=2000.0)]
Amperes = Annotated[float, Field(ge=-20_000.0, le=20_000.0)]
Celsius = Annotated[float, Field(ge=-60.0, le=200.0)]
Ohms = Annotated[float, Field(ge=0.0, le=100.0)]
Frac = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0, le=1e9)]

V_DECIMALS: Final = 4
DEGC_DECIMALS: Final = 2
FRAC_DECIMALS: Final = 3


class Quality(IntEnum):
    """Why a sample can be used, or not. Where several hold, the first of `PRECEDENCE` counts."""

    GOOD = 0
    NOT_RE_READ = 1
    IMPLAUSIBLE = 2
    OUT_OF_RANGE = 3
    SILENT = 4
    BUS_ERROR = 5
    IN_TEST = 6
    UPDATING = 7
    UNTRUSTED = 8


PRECEDENCE: Final = (
    Quality.UNTRUSTED,
    Quality.UPDATING,
    Quality.SILENT,
    Quality.BUS_ERROR,
    Quality.OUT_OF_RANGE,
    Quality.IMPLAUSIBLE,
    Quality.IN_TEST,
    Quality.NOT_RE_READ,
)
WITHOUT_VALUE: Final = frozenset({Quality.NOT_RE_READ, Quality.SILENT, Quality.BUS_ERROR, Quality.UPDATING})
"""With these the value is null: nothing is repeated or invented."""
SUSPECT: Final = frozenset({Quality.IMPLAUSIBLE, Quality.OUT_OF_RANGE, Quality.UNTRUSTED})
"""With these the value is published as read, and stored apart from the usable ones."""


class ModuleStatus(IntFlag):
    """Status bits of a unit's module in a scan."""

    RED_LED = 1
    GREEN_LED = 2
    FUSE_OPEN = 4
    DISCONNECTED = 8
    WAS_RESET = 16
    IDENTIFY = 32
