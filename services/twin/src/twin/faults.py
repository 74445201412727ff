"""Faults of modules and of the bus by name: begun, listed, ended; physical ones are passed on to the room.

Wire kinds and what `value` means:

- `silent`: neither hears nor answers. `cut`: so do it and all behind it on the line. `port_lost`: the port goes away.
- `noise`: part of all bytes of the line that is damaged (0.01). `bit_flip`: part of the replies of this module (1).
- `glitch`: the module sends this value, in its unit, with a perfect CRC (converter's end minus one count).
- `duplicate`: the module takes the address of unit `value` (its neighbour). `babble`: transmits unasked (0.5 of time).
- `reset`: restarts once. `wrong_type`: a block module where a cell module belongs, or the reverse.
- `fuse_open`, `lead_off`, `shorted_temperature_sensor`. `unaddressed`: its address is lost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, get_args

from pydantic import ConfigDict, Field

from twin.bus.line import TwinLine
from twin.bus.wire_codec import HIGHEST_VALUE, UNADDRESSED, Kind
from twin.errors import TwinUseError
from twin.firmware.module_state import Moment
from twin.physics.physical_faults import FaultEvent, FaultKind
from twin.physics.room import Room

PHYSICAL: Final = frozenset(get_args(FaultKind.__value__))
MOST_FAULTS: Final = 4096
DEFAULT_NOISE_FRAC: Final = 0.01
DEFAULT_BABBLE_FRAC: Final = 0.5


@dataclass(frozen=True, slots=True)
class FaultRequest:
    """A fault that a person or a script asks for; see the module for `kind` and `value`.

    It acts on unit `cell` of `string`, or on the line `bus`; it ends by itself after `for_s`, a physical one grows over
    `over_s`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    kind: Annotated[str, Field(max_length=40)]
    string: str | None = None
    cell: Annotated[int, Field(ge=1, le=512)] | None = None
    bus: str | None = None
    value: float | None = None
    for_s: Annotated[float, Field(gt=0.0)] | None = None
    over_s: Annotated[float, Field(ge=0.0)] = 0.0


@dataclass(frozen=True, slots=True)
class ActingFault:
    """A fault that acts, and when it ends by itself."""

    number: int
    request: FaultRequest
    end_s: float
    undo: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A device on a line, for faults that need one."""

    line: TwinLine
    row: int
    now: Moment


class FaultDesk:
    """All faults of a room; every number is given once.

    Args:
        lines: by bus id.
        room: the physics.
        unplugged: bus ids whose port is away; ports look here.
    """

    def __init__(self, lines: Mapping[str, TwinLine], room: Room, unplugged: set[str]) -> None:
        self._lines: Final = lines
        self._room: Final = room
        self._unplugged: Final = unplugged
        self._acting: dict[int, ActingFault] = {}
        self._given = 0

    @property
    def acting(self) -> tuple[ActingFault, ...]:
        """The faults that act now."""
        return tuple(self._acting.values())

    def begin(self, request: FaultRequest, now: Moment) -> int:
        """Begin a fault; return its number.

        Raises:
            TwinUseError: unknown kind, no such unit or line, an impossible value, or too many faults.
        """
        if len(self._acting) >= MOST_FAULTS:
            raise TwinUseError(f"{MOST_FAULTS} faults act already; clear some")
        undo = self._act(request, now)
        self._given += 1
        end_s = float("inf") if request.for_s is None else now.event_s + request.for_s
        self._acting[self._given] = ActingFault(self._given, request, end_s, undo)
        return self._given

    def clear(self, number: int) -> None:
        """End a fault; raises TwinUseError when no such fault acts."""
        fault = self._acting.pop(number, None)
        if fault is None:
            raise TwinUseError(f"fault {number} does not act; there are {sorted(self._acting) or 'none'}")
        fault.undo()

    def clear_matching(self, request: FaultRequest) -> list[int]:
        """End all faults of a kind (`all`: every kind) whose string, cell and bus match what is given."""
        found = [fault.number for fault in self._acting.values() if _matches(fault.request, request)]
        for number in found:
            self.clear(number)
        return found

    def expire(self, event_s: float) -> None:
        """End the faults whose time is over."""
        for number in [fault.number for fault in self._acting.values() if fault.end_s <= event_s]:
            self.clear(number)

    def _act(self, request: FaultRequest, now: Moment) -> Callable[[], None]:
        if request.kind in PHYSICAL:
            return self._physical(request)
        if request.kind in _ON_LINE:
            return self._on_lines(request)
        act = _ON_DEVICE.get(request.kind)
        if act is None:
            known = sorted([*PHYSICAL, *_ON_LINE, *_ON_DEVICE])
            raise TwinUseError(f"fault {request.kind!r} is not known; there are {', '.join(known)}")
        return act(self._place(request, now), request)

    def _physical(self, request: FaultRequest) -> Callable[[], None]:
        if request.cell is None:
            raise TwinUseError(f"fault {request.kind} needs a cell")
        kind: FaultKind = request.kind  # type: ignore[assignment]  # checked against the literal's own values
        event = FaultEvent(0.0, kind, request.cell, request.string, request.value, request.over_s)
        number = self._room.inject(event)
        return lambda: self._room.clear(number)

    def _on_lines(self, request: FaultRequest) -> Callable[[], None]:
        if request.bus is not None and request.bus not in self._lines:
            raise TwinUseError(f"bus {request.bus!r} is not there; there are {', '.join(self._lines)}")
        buses = [request.bus] if request.bus is not None else self._buses_of(request.string)
        if request.kind == "port_lost":
            self._unplugged.update(buses)
            return lambda: self._unplugged.difference_update(buses)
        frac = DEFAULT_NOISE_FRAC if request.value is None else request.value
        if not 0.0 < frac <= 1.0:
            raise TwinUseError(f"noise: value {frac} is a part of all bytes, above 0 and at most 1")
        before = {bus: self._lines[bus].disturbance.noise_frac for bus in buses}
        for bus in buses:
            self._lines[bus].disturbance.noise_frac = frac

        def undo() -> None:
            for bus, old_frac in before.items():
                self._lines[bus].disturbance.noise_frac = old_frac

        return undo

    def _buses_of(self, string: str | None) -> list[str]:
        found = [
            bus
            for bus, line in self._lines.items()
            if string is None or any(spec.string == string for spec in line.bank.state.rated.specs)
        ]
        if not found:
            raise TwinUseError(f"string {string!r} lies on no bus of the twin")
        return found

    def _place(self, request: FaultRequest, now: Moment) -> Place:
        string = request.string if request.string is not None else next(iter(self._room.bank.span))
        for line in self._lines.values():
            for row, spec in enumerate(line.bank.state.rated.specs):
                if spec.cell and spec.cell == request.cell and spec.string == string:
                    return Place(line, row, now)
        raise TwinUseError(f"fault {request.kind}: string {string!r} has no cell {request.cell} on a bus of the twin")


def _matches(acting: FaultRequest, asked: FaultRequest) -> bool:
    if asked.kind not in {"all", acting.kind}:
        return False
    pairs = ((asked.string, acting.string), (asked.cell, acting.cell), (asked.bus, acting.bus))
    return all(wanted is None or wanted == given for wanted, given in pairs)


def _silent(place: Place, _request: FaultRequest) -> Callable[[], None]:
    place.line.bank.deafen([place.row], by=1)
    return lambda: place.line.bank.deafen([place.row], by=-1)


def _cut(place: Place, _request: FaultRequest) -> Callable[[], None]:
    behind = range(place.row, place.line.bank.state.size)
    place.line.bank.deafen(behind, by=1)
    return lambda: place.line.bank.deafen(behind, by=-1)


def _bit_flip(place: Place, request: FaultRequest) -> Callable[[], None]:
    flips = place.line.disturbance.flip_frac
    flips[place.row] = 1.0 if request.value is None else request.value
    return lambda: _forget(flips, place.row)


def _glitch(place: Place, request: FaultRequest) -> Callable[[], None]:
    bank = place.line.bank
    counts = HIGHEST_VALUE - 1 if request.value is None else round(request.value / bank.state.rated.unit[place.row])
    if abs(counts) >= HIGHEST_VALUE:
        raise TwinUseError(f"glitch: {request.value} is more than the value field of this module holds")
    bank.garbage[place.row] = counts
    return lambda: _forget(bank.garbage, place.row)


def _duplicate(place: Place, request: FaultRequest) -> Callable[[], None]:
    bank = place.line.bank
    specs = bank.state.rated.specs
    own = specs[place.row]
    twin_cell = own.cell + 1 if request.value is None else round(request.value)
    others = [row for row, spec in enumerate(specs) if spec.string == own.string and spec.cell == twin_cell]
    if not others or others[0] == place.row:
        raise TwinUseError(f"duplicate: cell {twin_cell} is no other unit on the same line; give its number as value")
    before = int(bank.state.address[place.row])
    bank.readdress(place.row, int(bank.state.address[others[0]]))
    return lambda: bank.readdress(place.row, before)


def _babble(place: Place, request: FaultRequest) -> Callable[[], None]:
    disturbance = place.line.disturbance
    frac = DEFAULT_BABBLE_FRAC if request.value is None else request.value
    if not 0.0 < frac <= 1.0:
        raise TwinUseError(f"babble: value {frac} is a part of the time, above 0 and at most 1")
    disturbance.babble_frac = frac
    disturbance.babbling.add(place.row)
    return lambda: disturbance.babbling.discard(place.row)


def _reset(place: Place, _request: FaultRequest) -> Callable[[], None]:
    place.line.bank.reset([place.row], "watchdog", place.now)
    return lambda: None


def _wrong_type(place: Place, _request: FaultRequest) -> Callable[[], None]:
    bank = place.line.bank
    before = Kind(int(bank.state.rated.kind[place.row]))
    bank.become(place.row, Kind.BLOCK if before is Kind.CELL else Kind.CELL)
    return lambda: bank.become(place.row, before)


def _unaddressed(place: Place, _request: FaultRequest) -> Callable[[], None]:
    bank = place.line.bank
    before = int(bank.state.address[place.row])
    bank.readdress(place.row, UNADDRESSED)

    def undo() -> None:
        if bank.state.address[place.row] == UNADDRESSED:  # else somebody has assigned one
            bank.readdress(place.row, before)

    return undo


def _flag(name: str) -> Callable[[Place, FaultRequest], Callable[[], None]]:
    def set_to(place: Place, *, on: bool) -> None:
        getattr(place.line.bank.state, name)[place.row] = on
        place.line.bank.state.touch()

    def act(place: Place, _request: FaultRequest) -> Callable[[], None]:
        set_to(place, on=True)
        return lambda: set_to(place, on=False)

    return act


def _forget[V](of: dict[int, V], row: int) -> None:
    of.pop(row, None)


_ON_LINE: Final = frozenset({"noise", "port_lost"})
_ON_DEVICE: Final[Mapping[str, Callable[[Place, FaultRequest], Callable[[], None]]]] = {
    "silent": _silent,
    "cut": _cut,
    "bit_flip": _bit_flip,
    "glitch": _glitch,
    "duplicate": _duplicate,
    "babble": _babble,
    "reset": _reset,
    "wrong_type": _wrong_type,
    "unaddressed": _unaddressed,
    "fuse_open": _flag("fuse_open"),
    "lead_off": _flag("lead_off"),
    "shorted_temperature_sensor": _flag("degc_shorted"),
}
KINDS: Final = tuple(sorted([*PHYSICAL, *_ON_LINE, *_ON_DEVICE]))
