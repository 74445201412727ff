"""Opens a driver for every bus that `site.toml` gives this gateway.

Readings of modules are graded by their history; recordings are not: their rows were measured and kept by somebody, a
wrong byte on our bus is not what can be wrong with them, and the end of a discharge is no glitch.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random

from cellkeeper.contract.site import BusTable, StringTable
from cellkeeper.runtime.clock import Clock

from bus_gateway.drivers.c44 import C44Driver
from bus_gateway.drivers.recording import RecordingError
from bus_gateway.drivers.replay import ReplayDriver
from bus_gateway.gateway import Grade, ReadPath
from bus_gateway.line.line_configuring import Permit
from bus_gateway.place import Place
from bus_gateway.readings.plausibility import Plausibility


def open_paths(
    place: Place, clock: Clock, files_in: Path, random: Random, room: Callable[[], Awaitable[None]], permits: Permit
) -> tuple[Sequence[ReadPath], Mapping[str, Grade]]:
    """Return what is read and how each string is graded.

    Args:
        place: site and service.
        clock: event time.
        files_in: folder that names of recorded files are relative to.
        random: seeds of module searches and retry delays.
        room: waits until the way up can take more of a recording.
        permits: whether settings may be stored in modules of these strings now.

    Raises:
        RecordingError: a recording cannot be replayed.
    """
    site = place.site
    mine = [bus for bus in site.bus if bus.gateway == place.service]
    strings = [string for string in site.string if site.gateway_of(string) == place.service]
    paths = [
        _recorded(bus, strings, files_in, room) for bus in mine if bus.driver == "replay" and _is_used(bus, strings)
    ]
    modules = [string for string in strings if string.modules[0].bus in {bus.id for bus in mine if bus.driver == "c44"}]
    if modules:
        driver = C44Driver(site, place.service, clock, random, permits=permits)
        cells = {string.id: string.cells for string in modules}
        buses = [bus.id for bus in mine if bus.driver == "c44"]
        paths.append(ReadPath(driver, buses, cells, site.site.scan_s))
    return paths, {string.id: Plausibility(string).judge for string in modules}


def _is_used(bus: BusTable, strings: Sequence[StringTable]) -> bool:
    return any(run.bus == bus.id for string in strings for run in string.modules)


def _recorded(
    bus: BusTable, strings: Sequence[StringTable], files_in: Path, room: Callable[[], Awaitable[None]]
) -> ReadPath:
    assert bus.replay is not None
    on_it = [string for string in strings if any(run.bus == bus.id for run in string.modules)]
    if len(on_it) != 1:
        raise RecordingError(f"bus {bus.id}: a recording is of one string, but {len(on_it)} name it")
    driver = ReplayDriver(files_in / bus.replay.file, bus.replay, on_it[0], room)
    return ReadPath(driver, [bus.id], {on_it[0].id: on_it[0].cells}, scan_s=0.0, is_recorded=True)
