"""Whether a scenario of a person can be played in a site's room: every line is tried in a room that is thrown away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cellkeeper.contract.site import Site
from cellkeeper.contract.toml_lines import Place, TomlLines

from twin.errors import TwinError, TwinUseError
from twin.faults import FaultRequest
from twin.script.scenario import Scenario, load_scenario
from twin.twin_room import ScriptEvent, TwinRoom, request_of

_ALL: Final = FaultRequest("all")


def problems(path: Path, site: Site) -> list[str]:
    """Return what is wrong with a scenario file: file, line and what to do; nothing when all of it can happen here."""
    try:
        scenario, room = load_scenario(path), TwinRoom(site)
    except TwinError as exc:
        return [str(exc)]
    lines = TomlLines(path.read_text("utf-8"))
    found: list[str] = []
    for place, event in _events(scenario):
        try:
            room.do(event)
        except TwinUseError as exc:
            found.append(f"{path}:{lines.line_of(place)}: {exc}; correct this line of [[{place[0]}]]")
        room.faults.clear_matching(_ALL)  # lines are tried alone: what one does must not hide the next
    return found


def _events(scenario: Scenario) -> Iterator[tuple[Place, ScriptEvent]]:
    for at, ups in enumerate(scenario.ups):
        yield ("ups", at), ups
    for at, fault in enumerate(scenario.fault):
        yield ("fault", at), request_of(fault)
    for at, wire in enumerate(scenario.wire):
        yield ("wire", at), wire
