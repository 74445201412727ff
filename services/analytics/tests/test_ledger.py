"""The ledger: which cell was where, whatever is exchanged; no time belongs to two cells, and none to nobody."""

from itertools import pairwise
from math import inf

import pytest
from analytics.errors import MemoryUnreadableError
from analytics.ledger import CellLedger, Change, Described, Place, Seat, cell_key
from analytics.ledger_file import read_ledger, write_ledger
from hypothesis import given, settings
from hypothesis import strategies as st

NOW_S = 1_795_237_200.0
PLACES = [(string, cell) for string in ("s1", "s2") for cell in range(1, 5)]


def said(**lives: Described) -> dict[Place, Described]:
    """Return a description of two strings of four; `s1_2` names a cell."""
    named = {tuple(name.split("_")): life for name, life in lives.items()}
    return {place: named.get((place[0], str(place[1])), Described()) for place in PLACES}


def ledger() -> CellLedger:
    return CellLedger().describe(said(), NOW_S - 1000.0)[0]


def changed(outcome: CellLedger | Change) -> CellLedger:
    assert isinstance(outcome, CellLedger)
    return outcome


def cells(book: CellLedger, at_s: float, string: str = "s1") -> list[str]:
    stays = [book.at((string, cell), at_s) for cell in range(1, 5)]
    return [stay.cell if stay is not None else "" for stay in stays]


ALWAYS = ["s1/1/1", "s1/2/1", "s1/3/1", "s1/4/1"]


class TestDescription:
    def test_the_first_cells_were_there_always(self):
        book, changes = CellLedger().describe(said(s1_2=Described(3)), NOW_S)
        assert changes == ()
        assert cells(book, -1e12) == cells(book, 1e12) == ["s1/1/1", "s1/2/3", "s1/3/1", "s1/4/1"]
        assert book.at(("s1", 9), NOW_S) is None

    def test_a_first_word_with_a_date_knows_of_the_cell_before(self):
        book, _ = CellLedger().describe(said(s1_2=Described(2, NOW_S - 50.0)), NOW_S)
        assert [cells(book, at)[1] for at in (NOW_S - 51.0, NOW_S - 50.0)] == ["s1/2/1", "s1/2/2"]

    def test_a_new_life_begins_and_the_old_one_is_kept(self):
        book, (change,) = ledger().describe(said(s1_2=Described(2, name="SN 4711")), NOW_S)
        assert (change.kind, change.place) == ("replaced", ("s1", 2))
        assert cells(book, NOW_S - 1.0) == ALWAYS
        assert cells(book, NOW_S) == ["s1/1/1", "s1/2/2", "s1/3/1", "s1/4/1"]
        assert [(stay.life, stay.to_s) for stay in book.history("s1/2/1")] == [(1, NOW_S)]
        assert [(stay.life, stay.from_s, stay.to_s) for stay in book.history("s1/2/2")] == [(2, NOW_S, inf)]
        assert book.names == {"s1/2/2": "SN 4711"}
        assert book.describe(said(s1_2=Described(2, name="SN 4711")), NOW_S + 5.0) == (book, ())

    def test_it_may_be_told_later_and_its_date_corrected(self):
        book, _ = ledger().describe(said(s1_2=Described(2, NOW_S - 86_400.0)), NOW_S)
        assert [cells(book, at)[1] for at in (NOW_S - 90_000.0, NOW_S - 3600.0)] == ["s1/2/1", "s1/2/2"]
        book, (change,) = book.describe(said(s1_2=Described(2, NOW_S - 1800.0)), NOW_S)
        assert change.kind == "replaced"
        assert [cells(book, at)[1] for at in (NOW_S - 3600.0, NOW_S - 1800.0)] == ["s1/2/1", "s1/2/2"]

    def test_not_before_the_cell_that_it_replaces_came(self):
        book, _ = ledger().describe(said(s1_2=Described(2)), NOW_S)
        book, (change,) = book.describe(said(s1_2=Described(3, NOW_S - 10.0)), NOW_S + 100.0)
        assert change.kind == "refused"
        assert "correct `since`" in change.text
        assert [cells(book, at)[1] for at in (NOW_S + 99.0, NOW_S + 100.0)] == ["s1/2/2", "s1/2/3"]

    def test_a_date_in_the_future_is_refused_and_the_cell_counts_from_now_on(self):
        ahead = said(s1_2=Described(2, NOW_S + 10 * 365 * 86_400.0))
        for book in (ledger(), CellLedger()):
            dated, (change,) = book.describe(ahead, NOW_S)
            assert change.kind == "refused"
            assert "lies in the future: correct `since`" in change.text
            assert [cells(dated, at)[1] for at in (NOW_S - 1.0, NOW_S)] == ["s1/2/1", "s1/2/2"]
            assert dated.describe(ahead, NOW_S + 60.0) == (dated, ()), "nor at the next start"

    def test_a_mistake_is_taken_back(self):
        book, _ = ledger().describe(said(s1_2=Described(2)), NOW_S)
        book, (change,) = book.describe(said(), NOW_S + 100.0)
        assert change.kind == "withdrawn"
        assert book.stays == ledger().stays

    def test_but_not_after_its_cell_went_elsewhere(self):
        book, _ = ledger().describe(said(s1_2=Described(2)), NOW_S)
        book = changed(book.move({("s1", 2): ("s1", 3), ("s1", 3): ("s1", 2)}, NOW_S + 10.0, "by hand"))
        after, (change,) = book.describe(said(), NOW_S + 100.0)
        assert change.kind == "refused"
        assert after.stays == book.stays


def heard(at_s: float, **serials: int) -> dict[str, Seat]:
    return {serial: Seat(("s1", cell), at_s) for serial, cell in serials.items()}


FIRST = {"A100": 1, "B200": 2, "C300": 3, "D400": 4}


class TestModules:
    def known(self) -> CellLedger:
        return ledger().see(heard(NOW_S, **FIRST), NOW_S, is_settled=False)[0]

    def see(self, book: CellLedger, at_s: float, *, is_settled: bool = False, **serials: int):
        return book.see(heard(at_s, **serials), at_s, is_settled=is_settled)

    def test_the_first_introduction_moves_nothing(self):
        assert self.known().stays == ledger().stays
        assert self.see(self.known(), NOW_S + 1.0, **FIRST) == (self.known(), ())

    def test_an_exchanged_module_leaves_its_cell(self):
        book, (change,) = self.see(self.known(), NOW_S + 10.0, A100=1, X900=2, C300=3, D400=4)
        assert change.kind == "module"
        assert cells(book, NOW_S + 20.0) == ALWAYS
        assert book.seats["X900"].place == ("s1", 2)

    def test_addresses_that_change_places_take_their_cells_along(self):
        book, (change,) = self.see(self.known(), NOW_S + 10.0, A100=1, B200=3, C300=2, D400=4)
        assert change.kind == "moved"
        assert cells(book, NOW_S + 9.0) == ALWAYS
        assert cells(book, NOW_S + 10.0) == ["s1/1/1", "s1/3/1", "s1/2/1", "s1/4/1"]
        assert [(stay.place[1], stay.life) for stay in book.history("s1/2/1")] == [(2, 1), (3, 1)]

    def test_a_ring_is_the_same(self):
        book, (change,) = self.see(self.known(), NOW_S + 10.0, A100=2, B200=3, C300=1, D400=4)
        assert change.kind == "moved"
        assert cells(book, NOW_S + 10.0) == ["s1/3/1", "s1/1/1", "s1/2/1", "s1/4/1"]

    def test_a_pair_is_seen_one_after_the_other(self):
        book, changes = self.see(
            self.known(), NOW_S + 10.0, A100=1, B200=3, D400=4
        )  # C300 was cleared and is not back yet
        assert changes == ()
        book, (change,) = self.see(book, NOW_S + 15.0, A100=1, B200=3, C300=2, D400=4)
        assert change.kind == "moved"
        assert cells(book, NOW_S + 15.0) == ["s1/1/1", "s1/3/1", "s1/2/1", "s1/4/1"]

    def test_there_and_back_again(self):
        book, _ = self.see(self.known(), NOW_S + 10.0, A100=1, B200=3, C300=2, D400=4)
        book, _ = self.see(book, NOW_S + 20.0, **FIRST)
        assert cells(book, NOW_S + 21.0) == ALWAYS
        assert [stay.place[1] for stay in book.history("s1/3/1")] == [3, 2, 3]

    def test_what_is_not_clear_is_left_to_a_person_once_it_is_settled(self):
        gone = {"A100": 1, "C300": 2, "D400": 4}  # B200 is away, and C300 at its place
        book, changes = self.see(self.known(), NOW_S + 10.0, **gone)
        assert (changes, book.seats) == ((), self.known().seats)
        book, (change,) = self.see(book, NOW_S + 999.0, is_settled=True, **gone)
        assert change.kind == "unclear"
        assert cells(book, NOW_S + 999.0) == ALWAYS
        assert self.see(book, NOW_S + 9999.0, is_settled=True, **gone)[1] == (), "once"

    def test_a_module_from_the_drawer_brings_no_cell(self):
        book, _ = self.see(self.known(), NOW_S + 10.0, X900=1, B200=2, C300=3, D400=4)
        book, changes = self.see(book, NOW_S + 20.0, A100=2, B200=1, C300=3, D400=4)
        book, more = self.see(book, NOW_S + 999.0, is_settled=True, A100=2, B200=1, C300=3, D400=4)
        assert cells(book, NOW_S + 999.0) == ALWAYS
        assert sorted(change.kind for change in (*changes, *more)) == ["module", "module"]

    def test_cells_that_changed_places_can_be_told_across_strings(self):
        book = changed(ledger().move({("s1", 1): ("s2", 4), ("s2", 4): ("s1", 1)}, NOW_S, "moved by hand"))
        assert cells(book, NOW_S)[0] == "s2/4/1"
        assert cells(book, NOW_S, "s2")[3] == "s1/1/1"

    @pytest.mark.parametrize("ring", [{("s1", 1): ("s1", 2)}, {("s1", 1): ("s1", 9), ("s1", 9): ("s1", 1)}])
    def test_what_is_no_ring_of_cells_is_refused(self, ring: dict[Place, Place]):
        assert isinstance(ledger().move(ring, NOW_S, ""), Change)

    def test_nothing_moves_before_it_came(self):
        ring = {("s1", 1): ("s1", 2), ("s1", 2): ("s1", 1)}
        book = changed(ledger().move(ring, NOW_S, ""))
        for at_s in (NOW_S, NOW_S - 1.0, float("nan")):
            assert isinstance(book.move(ring, at_s, ""), Change)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["replace", "exchange", "modules"]), st.integers(1, 4), st.integers(1, 4), st.integers(-50, 50)
    ),
    max_size=15,
)


@settings(max_examples=80)
@given(CHANGES)
def test_each_place_has_one_cell_at_each_time_and_each_cell_one_place(changes):
    book = ledger().see(heard(NOW_S - 100.0, **FIRST), NOW_S - 100.0, is_settled=True)[0]
    lives = dict.fromkeys(range(1, 5), 1)
    for what, one, other, second in changes:
        at_s = NOW_S + second
        if what == "replace":
            lives[one] += 1
            told = {("s1", cell): Described(life) for cell, life in lives.items()}
            told["s1", one] = Described(lives[one], at_s)
            book = book.describe(told, NOW_S + 60.0)[0]
        elif what == "exchange" and one != other:
            made = book.move({("s1", one): ("s1", other), ("s1", other): ("s1", one)}, at_s, "")
            book = made if isinstance(made, CellLedger) else book
        else:
            places = {seat.place[1]: serial for serial, seat in book.seats.items()}
            places[one], places[other] = places[other], places[one]
            now = {serial: Seat(("s1", cell), at_s) for cell, serial in places.items()}
            book = book.see(now, NOW_S + 60.0, is_settled=True)[0]
    for second in range(-60, 90, 3):
        there = cells(book, NOW_S + second)
        assert len(set(there)) == 4
        assert "" not in there
    for cell in range(1, 5):
        known = book.stays["s1", cell]
        assert all(before.to_s == after.from_s for before, after in pairwise(known))
        assert known[-1].life == lives[cell]


class TestFile:
    def test_what_was_written_is_read(self, tmp_path):
        book, _ = ledger().describe(said(s1_2=Described(2, NOW_S - 5.0, "SN 4711")), NOW_S)
        book, _ = book.see(heard(NOW_S + 1.0, **FIRST), NOW_S + 1.0, is_settled=True)
        book, _ = book.see(heard(NOW_S + 2.0, A100=2, B200=1), NOW_S + 2.0, is_settled=True)
        assert write_ledger(tmp_path / "cells.json", book)
        assert read_ledger(tmp_path / "cells.json") == book

    def test_none_is_an_empty_one_and_a_damaged_one_is_told(self, tmp_path):
        assert read_ledger(tmp_path / "cells.json") == CellLedger()
        for text in ("{", '{"format":2,"stays":[],"names":{},"seats":[]}', "[]"):
            (tmp_path / "cells.json").write_text(text)
            with pytest.raises(MemoryUnreadableError, match=r"cells\.json"):
                read_ledger(tmp_path / "cells.json")

    def test_a_full_disk_is_no_crash(self, tmp_path):
        (tmp_path / "cells.json").mkdir()
        assert not write_ledger(tmp_path / "cells.json", ledger())


def test_a_key_is_of_place_and_life():
    assert cell_key(("s1", 17), 2) == "s1/17/2"
