"""Scenario files: what happens in a room, as data. Times are seconds from the start of the room.

`[[ups]]` lines script charger and load, `[[fault]]` lines faults of cells and sensors, `[[ambient]]` lines the room's
temperature. `[[wire]]` lines are faults of modules and of the bus; they are only read here, the bus acts on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import ConfigDict, Field, TypeAdapter

from twin.errors import TwinFileError
from twin.physics.physical_faults import FaultEvent
from twin.physics.ups import UpsEvent
from twin.script.file_border import read_toml

SHIPPED: Final = Path(__file__).parent / "scenarios"
STRICT: Final = ConfigDict(extra="forbid")
Lines = Field(max_length=10_000)


@dataclass(frozen=True, slots=True)
class AmbientEvent:
    """From `at_s` on the room is at `degc` in the daily mean."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    at_s: Annotated[float, Field(ge=0.0)]
    degc: Annotated[float, Field(ge=-40.0, le=80.0)]


@dataclass(frozen=True, slots=True)
class WireEvent:
    """A fault of a module or of the bus, for those who play the bus: kind and values are checked there."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    at_s: Annotated[float, Field(ge=0.0)]
    kind: str
    string: str | None = None
    cell: Annotated[int, Field(ge=1)] | None = None
    bus: str | None = None
    value: float | None = None
    for_s: Annotated[float, Field(gt=0.0)] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario; `soc_frac` starts all strings at rest at that charge instead of in settled float.

    `soc_spread_frac` and `gassing_spread_ln` are standard deviations between cells that take the place of those of the
    parameter sets: charge of lithium cells, and float current of lead, which drives its float voltages apart. `float_v`
    gives chargers of a parameter set another float voltage per cell.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: str
    title: str = ""
    ambient_degc: Annotated[float, Field(ge=-40.0, le=80.0)] = 22.0
    swing_k: Annotated[float, Field(ge=0.0, le=40.0)] = 1.5
    soc_frac: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    soc_spread_frac: Annotated[float, Field(ge=0.0, le=0.2)] | None = None
    gassing_spread_ln: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    float_v: Mapping[str, Annotated[float, Field(gt=0.0, le=5.0)]] = field(default_factory=dict)
    ups: Annotated[tuple[UpsEvent, ...], Lines] = ()
    fault: Annotated[tuple[FaultEvent, ...], Lines] = ()
    ambient: Annotated[tuple[AmbientEvent, ...], Lines] = ()
    wire: Annotated[tuple[WireEvent, ...], Lines] = ()


QUIET_FLOAT: Final = Scenario(name="quiet", title="Nothing happens")
_SHAPE: Final = TypeAdapter(Scenario)


def load_scenario(path: Path) -> Scenario:
    """Return the scenario in `path`.

    Raises:
        TwinFileError: names file, key and what to do.
    """
    return read_toml(path, _SHAPE)


def shipped_scenario(name: str) -> Scenario:
    """Return a scenario that comes with the twin, by file name without its ending.

    Raises:
        TwinFileError: there is none of that name; lists those there are.
    """
    path = SHIPPED / f"{name}.toml"
    there = sorted(known.stem for known in SHIPPED.glob("*.toml"))
    if name not in there:
        raise TwinFileError(f"scenario {name!r} does not come with the twin; there are {', '.join(there)}")
    return load_scenario(path)
