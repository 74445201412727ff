"""What was learned of a cell is found where the cell is: after a change of places, a replacement, an upgrade."""

from dataclasses import fields, replace
from zlib import crc32

import numpy as np
import pytest
from analytics.belongings import brought
from analytics.cells import ABOVE_LIVES, Cells, places_of, said_of
from analytics.estimating import Asked, Memory, Standing, follow
from analytics.impedance.sweep import Sweep
from analytics.intake import no_readings
from analytics.ledger import CellLedger, Place
from analytics.older_memories import completed
from analytics.site_rules import SiteRules
from service_room import CELLS, site_of

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0
SITE = site_of("s1", "s2")
LEDGER, _ = CellLedger().describe(said_of(SITE), NOW_S)
PLAIN = SiteRules.of(SITE, {})
LAYOUT = PLAIN.layout
N = 2 * CELLS


def ring(*places: Place) -> dict[Place, Place]:
    return dict(zip(places, (*places[1:], places[0]), strict=True))


def cells_after(moves: dict[Place, Place]) -> Cells:
    moved = LEDGER.move(moves, NOW_S, "")
    assert isinstance(moved, CellLedger)
    return Cells.of(LAYOUT, moved)


def numbered() -> Memory:
    """Return a memory in which every column of a unit has the number of its place."""
    empty = Memory.empty(PLAIN)
    own = (1.0 + np.arange(N)) / 100.0

    def filled(part):
        old = {f.name: getattr(part, f.name) for f in fields(part)}
        return replace(part, **{name: (np.zeros(each.shape) + own).astype(each.dtype) for name, each in old.items()})

    soh = replace(empty.soh, learned=filled(empty.soh.learned), lives=PLAIN.soh.lives)
    kalman, parts = filled(empty.soc.kalman), filled(empty.soc.parts)
    soc = replace(empty.soc, unit=filled(empty.soc.unit), kalman=kalman, parts=parts, soc_frac=own)
    life = replace(empty.life, years=own, born_s=own, lives=PLAIN.life.lives)
    runtime = replace(empty.runtime, learned=filled(empty.runtime.learned), before_degc=own)
    return replace(empty, soh=soh, soc=soc, life=life, runtime=runtime)


def with_trend(memory: Memory, rules: SiteRules) -> Memory:
    """Return the memory after sweeps of both strings, of which each unit has a value of its own."""
    standing = Standing.of(memory, rules)
    memory = replace(memory, impedance=replace(memory.impedance, disturbed_s=np.zeros(2)))
    for day in range(4):
        sweeps = tuple(
            Sweep(
                string, NOW_S - (10 - day) * DAY_S, "dc_pulse 0.1 s", "float", np.arange(CELLS),
                0.001 * (1.0 + np.arange(CELLS)) + at, np.full(CELLS, 25.0), np.ones(CELLS, bool),
            )
            for at, string in enumerate(("s1", "s2"))
        )  # fmt: skip
        memory = follow(memory, standing, no_readings(LAYOUT), Asked(sweeps=sweeps), rules).memory
    return memory


def test_nothing_is_touched_while_nothing_moves():
    memory = numbered()
    assert brought(memory, Cells.of(LAYOUT, LEDGER), LAYOUT).memory is memory


def test_what_was_learned_follows_cells_that_change_places():
    cells = cells_after(ring(("s1", 2), ("s1", 5), ("s2", 3)))
    found = brought(numbered(), cells, LAYOUT)
    expected = (1.0 + np.arange(N)) / 100.0
    expected[[1, 4, CELLS + 2]] = np.array([5.0, CELLS + 3.0, 2.0]) / 100.0
    memory = found.memory
    assert found.strings == ("s1", "s2")
    for column in (
        memory.soh.learned.frac, memory.soc.soc_frac, memory.soc.unit.v2_v, memory.soc.kalman.ss,
        memory.soc.parts.table_frac, memory.life.years, memory.life.born_s, memory.runtime.learned.excess,
        memory.runtime.before_degc,
    ):  # fmt: skip
        assert column.tolist() == expected.tolist()
    assert (memory.soh.learned.past_frac[0] * 0.0 + memory.soh.learned.frac).tolist() == expected.tolist()
    assert memory.soh.lives.tolist() == cells.marks.tolist() == memory.life.lives.tolist()


def test_the_trend_of_an_impedance_follows_within_its_string():
    memory = with_trend(numbered(), PLAIN)
    cells = cells_after(ring(("s1", 2), ("s1", 5)))
    rules = PLAIN.with_cells(cells)
    found = Standing.of(brought(memory, cells, LAYOUT).memory, rules).impedance
    before = Standing.of(memory, PLAIN).impedance
    assert not np.isnan(before.ohm).any()
    assert found.ohm[[1, 4]].tolist() == before.ohm[[4, 1]].tolist()
    assert np.delete(found.ohm, [1, 4]).tolist() == np.delete(before.ohm, [1, 4]).tolist()


def test_across_strings_a_trend_begins_anew_and_only_there():
    memory = with_trend(numbered(), PLAIN)
    cells = cells_after(ring(("s1", 2), ("s2", 5)))
    rules = PLAIN.with_cells(cells)
    found = Standing.of(brought(memory, cells, LAYOUT).memory, rules).impedance
    assert np.flatnonzero(np.isnan(found.ohm)).tolist() == [1, CELLS + 4]


def test_a_replaced_cell_begins_with_nothing_and_the_others_keep_theirs():
    site = site_of("s1", "s2", more="[string.life]\n3 = 2")
    ledger, changes = LEDGER.describe(said_of(site), NOW_S)
    assert [change.place for change in changes] == [("s1", 3), ("s2", 3)]
    cells = Cells.of(LAYOUT, ledger)
    rules = PLAIN.with_cells(cells)
    assert cells.born_s[2] == NOW_S
    memory = with_trend(numbered(), PLAIN)
    found = brought(memory, cells, LAYOUT).memory
    scan = no_readings(LAYOUT)
    scan.at_s[:] = NOW_S + 60.0
    after = follow(found, Standing.of(found, rules), scan, Asked(), rules)
    for column in (after.memory.soh.learned.frac, Standing.of(after.memory, rules).impedance.ohm):
        assert np.flatnonzero(np.isnan(column)).tolist() == [2, CELLS + 2]
    assert after.memory.life.born_s[2] == NOW_S


def test_a_cell_that_changes_places_keeps_its_trend_only_with_the_same_kind_of_terminal():
    site = site_of("s1", "s2", more='[string.terminals]\n5 = "BC6"')
    rules = SiteRules.of(site, {})
    memory = with_trend(numbered(), rules)
    cells = cells_after(ring(("s1", 2), ("s1", 5)))
    moved = rules.with_cells(cells)
    found = Standing.of(brought(memory, cells, LAYOUT).memory, moved).impedance
    assert np.flatnonzero(np.isnan(found.ohm)).tolist() == [1, 4]


def test_a_memory_from_before_the_ledger_is_of_the_same_cells():
    memory = with_trend(numbered(), PLAIN)
    lives = np.ones(N, dtype=np.int64)
    old = np.full(CELLS, crc32(b"1|"), dtype=np.int64)
    tracks = tuple(replace(track, fitted=old) for track in memory.impedance.tracks)
    before = replace(
        memory,
        soh=replace(memory.soh, lives=lives),
        life=replace(memory.life, lives=lives),
        impedance=replace(memory.impedance, tracks=tracks),
    )
    found = completed(before, LAYOUT)
    assert found.soh.lives.tolist() == memory.soh.lives.tolist()
    assert found.life.lives.tolist() == memory.life.lives.tolist()
    assert [track.fitted.tolist() for track in found.impedance.tracks] == [
        track.fitted.tolist() for track in memory.impedance.tracks
    ]


def test_marks_are_neither_lives_nor_alike():
    marks = Cells.of(LAYOUT, LEDGER).marks
    assert len(set(marks.tolist())) == N
    assert (marks >= ABOVE_LIVES).all()
    assert places_of(LAYOUT)[CELLS] == ("s2", 1)


@pytest.mark.parametrize(
    "more", ["[string.life]\n3 = 2", "[string.life]\n3 = { life = 2, since = 2026-11-20T09:30:00Z }"]
)
def test_rules_without_a_ledger_go_by_the_site(more: str):
    rules = SiteRules.of(site_of("s1", more=more), {})
    plain = SiteRules.of(site_of("s1"), {})
    assert np.flatnonzero(rules.soh.lives != plain.soh.lives).tolist() == [2]
    assert np.isfinite(rules.life.born_s[2]) == ("since" in more)
