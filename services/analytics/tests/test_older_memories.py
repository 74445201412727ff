"""Memory files of older versions come up in today's shape: what they lack begins as written, and nothing else is lost.

The files are written by today's code from memories that lack fields, as the versions before those fields wrote them.
"""

from dataclasses import MISSING, fields, is_dataclass, make_dataclass, replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from analytics.belongings import brought
from analytics.cells import Cells, said_of
from analytics.engine import Engine
from analytics.estimating import Memory
from analytics.impedance.track import Track
from analytics.intake import no_readings
from analytics.ledger import CellLedger
from analytics.main import recalled
from analytics.memory_file import MemoryFile
from analytics.older_memories import NEWER
from analytics.packing import packed
from analytics.readings import Readings
from analytics.site_rules import SiteRules
from cellkeeper.testing.clock import ManualClock
from service_room import CELLS, FLOAT_V, site_of

BEGIN_S = 1_800_000_000.0
SITE = site_of("s1", "s2")
TWO = SiteRules.of(SITE, {})
ONE = SiteRules.of(site_of("s1"), {})
TRACK = Track.empty("s2", "dc_pulse 0.1 s", TWO.impedance.fitted[CELLS:])


class NothingLost:
    """Stands for the service's voice: an event would say that a part could not be read."""

    def event(self, kind: str, severity: str, text: str) -> None:
        raise AssertionError(f"{kind}: {text}")


def scan(rules: SiteRules, second: int, cell_v: float, load_a: float) -> Readings:
    batch = no_readings(rules.layout)
    unit_v = cell_v + 0.002 * np.sin(np.arange(rules.layout.units) % CELLS + second)
    return replace(
        batch, at_s=np.full_like(batch.at_s, BEGIN_S + second), discharge_a=np.full_like(batch.discharge_a, load_a),
        string_v=np.full_like(batch.string_v, CELLS * cell_v), unit_v=unit_v, unit_v_as_read=unit_v,
        degc=np.full(rules.layout.units, 22.0), quality=np.zeros(rules.layout.units, dtype=np.uint8),
    )  # fmt: skip


@cache
def on_load(strings: int = 2) -> Memory:
    """Return a memory that has something to lose: of strings after float and two minutes of a load."""
    rules = ONE if strings == 1 else TWO
    engine = Engine(rules, Memory.empty(rules))
    for second in range(190):
        engine.follow(scan(rules, second, *((FLOAT_V, -0.05) if second < 60 else (1.99 - 0.0004 * second, 20.0))))
    memory = engine.memory
    assert memory.soc.owed.s.any()
    assert memory.soc.parts.count_frac.all()
    return replace(memory, impedance=replace(memory.impedance, tracks=(TRACK,)))


def lacking(item: Any, name: str) -> Any:
    """Return a dataclass without one of its fields."""
    names = [each.name for each in fields(item) if each.name != name]
    return make_dataclass("Older", names)(*(getattr(item, each) for each in names))


def without_defaults(item: Any) -> Any:
    """Return the same without every field that has a default, at any depth: as if each had come later."""
    if isinstance(item, tuple):
        return tuple(without_defaults(each) for each in item)
    if not is_dataclass(item):
        return item
    names = [each.name for each in fields(item) if each.default is MISSING and each.default_factory is MISSING]
    return make_dataclass("Oldest", names)(*(without_defaults(getattr(item, each)) for each in names))


def read_back(memory: Memory, written: SiteRules, folder: Path, now: SiteRules = TWO) -> Memory:
    """Return what the service of today's site remembers, after a start on a file with this memory."""
    file = MemoryFile(folder / "learned.ckm")
    assert file.write(memory, written.layout)
    return recalled(now, file, NothingLost(), ManualClock())  # type: ignore[arg-type]


def test_what_today_wrote_stays_as_it_is(tmp_path: Path):
    memory = on_load()
    assert packed(read_back(memory, TWO, tmp_path)) == packed(memory)


def owed_nothing(found: Memory) -> None:
    owed = found.soc.owed
    for of_strings in (owed.s, owed.moved_as, owed.unknown_as, owed.charges):
        assert of_strings.tolist() == [0.0, 0.0]
    assert owed.bleed_as.tolist() == [0.0] * 2 * CELLS
    assert owed.charges.dtype == np.bool_


def parts_of_the_start(found: Memory) -> None:
    parts, sd = found.soc.parts, found.soc.sd_frac.tolist()
    assert len(sd) == 2 * CELLS
    assert parts.start_frac.tolist() == parts.told_frac.tolist() == sd
    assert parts.count_frac.tolist() == parts.table_frac.tolist() == [0.0] * 2 * CELLS


def never_held_together(found: Memory) -> None:
    assert found.runtime.held.shape == (2,)
    assert np.isnan(found.runtime.held).all()


BEGINNINGS = {"soc.owed": owed_nothing, "soc.parts": parts_of_the_start, "runtime.held": never_held_together}
MARKS = {"soh.lives", "life.lives", "impedance.tracks"}


def test_every_row_has_its_test():
    assert {name for row in NEWER for name in row.fields} == BEGINNINGS.keys() | MARKS


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_field_that_is_not_there_begins_and_nothing_else_is_lost(name: str, tmp_path: Path):
    memory, (part, own) = on_load(), name.split(".")
    older = replace(memory, **{part: lacking(getattr(memory, part), own)})
    found = read_back(older, TWO, tmp_path)
    BEGINNINGS[name](found)
    kept = replace(found, **{part: replace(getattr(found, part), **{own: attrgetter(name)(memory)})})
    assert packed(kept) == packed(memory)
    engine = Engine(TWO, found)
    told = engine.follow(scan(TWO, 190, 1.9, 20.0))
    assert [said.mode for said in told.modes] == ["discharge", "discharge"]
    assert np.isfinite(told.units.soc_frac).all()


def test_lives_become_the_marks_of_the_cells_that_were_there_and_nothing_else_is_lost(tmp_path: Path):
    memory, lives = on_load(), np.ones(2 * CELLS, dtype=np.int64)
    fitted = np.full(CELLS, crc32(b"1|"), dtype=np.int64)
    older = replace(
        memory,
        soh=replace(memory.soh, lives=lives),
        life=replace(memory.life, lives=lives),
        impedance=replace(memory.impedance, tracks=(replace(TRACK, fitted=fitted),)),
    )
    assert packed(read_back(older, TWO, tmp_path)) == packed(memory)


@pytest.mark.parametrize("name", BEGINNINGS)
def test_on_a_site_that_got_another_string_each_string_has_its_own_beginning(name: str, tmp_path: Path):
    memory, (part, own) = on_load(1), name.split(".")
    older = replace(memory, **{part: lacking(getattr(memory, part), own)})
    found = read_back(older, ONE, tmp_path)
    BEGINNINGS[name](found)
    assert found.soc.soc_frac[:CELLS].tolist() == memory.soc.soc_frac.tolist()
    assert found.soc.parts.told_frac[CELLS:].tolist() == Memory.empty(TWO).soc.parts.told_frac[CELLS:].tolist()


def test_cells_that_changed_places_take_what_begins_with_them(tmp_path: Path):
    memory = on_load()
    sd = 0.01 * (1.0 + np.arange(2 * CELLS))
    older = replace(memory, soc=lacking(replace(memory.soc, sd_frac=sd), "parts"))
    ledger, _ = CellLedger().describe(said_of(SITE), BEGIN_S)
    ledger = ledger.move({("s1", 1): ("s1", 2), ("s1", 2): ("s1", 1)}, BEGIN_S, "")
    assert isinstance(ledger, CellLedger)
    found = brought(read_back(older, TWO, tmp_path), Cells.of(TWO.layout, ledger), TWO.layout).memory
    assert found.soc.parts.told_frac[:3].tolist() == pytest.approx([0.02, 0.01, 0.03])


def test_every_field_with_a_default_is_begun(tmp_path: Path):
    """Also those that come in future: their default is today's shape, or a row begins them."""
    empty = Memory.empty(TWO)
    assert packed(read_back(without_defaults(empty), TWO, tmp_path)) == packed(empty)
