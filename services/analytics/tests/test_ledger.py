"""The ledger: which cell was where, whatever is exchanged; no time belongs to two cells, and none to nobody."""

from itertools import pairwise
from math import inf

import pytest
from analytics.ledger import CellLedger, Refused, cell_name
from hypothesis import given, settings
from hypothesis import strategies as st

NOW_S = 1_795_237_200.0


def ledger(positions: int = 4) -> CellLedger:
    return CellLedger.of({"s1": positions, "s2": positions})


def changed(outcome: CellLedger | Refused) -> CellLedger:
    assert isinstance(outcome, CellLedger)
    return outcome


def cells(book: CellLedger, at_s: float, string: str = "s1", positions: int = 4) -> list[str]:
    stays = [book.stay_at(string, position, at_s) for position in range(1, positions + 1)]
    return [stay.cell if stay is not None else "" for stay in stays]


def test_the_first_cells_were_there_always():
    book = CellLedger.of({"s1": 2}, {("s1", 2): 3})
    assert book.lives("s1") == {1: 1, 2: 3}
    assert cells(book, -1e12, positions=2) == cells(book, 1e12, positions=2) == ["s1/1/1", "s1/2/3"]
    assert book.stay_at("s1", 3, NOW_S) is None


class TestReplacement:
    def test_a_new_life_begins_and_the_old_one_is_kept(self):
        book = changed(ledger().replaced("s1", 2, NOW_S, "SN-4711"))
        assert cells(book, NOW_S - 1.0) == ["s1/1/1", "s1/2/1", "s1/3/1", "s1/4/1"]
        assert cells(book, NOW_S) == ["s1/1/1", "SN-4711", "s1/3/1", "s1/4/1"]
        assert book.lives("s1") == {1: 1, 2: 2, 3: 1, 4: 1}
        old, new = book.history("s1/2/1"), book.history("SN-4711")
        assert [(each.life, each.to_s) for each in old] == [(1, NOW_S)]
        assert [(each.life, each.from_s, each.to_s) for each in new] == [(2, NOW_S, inf)]
        found = book.life_at("s1", 2, 1)
        assert found is not None
        assert found.cell == "s1/2/1"

    def test_it_may_be_told_later(self):
        book = changed(ledger().replaced("s1", 2, NOW_S - 86_400.0))
        assert cells(book, NOW_S - 3600.0)[1] == cell_name("s1", 2, 2)
        assert cells(book, NOW_S - 90_000.0)[1] == "s1/2/1"

    def test_not_before_the_cell_that_it_replaces(self):
        book = changed(ledger().replaced("s1", 2, NOW_S))
        for at_s in (NOW_S, NOW_S - 1.0):
            refused = book.replaced("s1", 2, at_s)
            assert isinstance(refused, Refused)
            assert "give a later time" in refused.why
        assert isinstance(book.replaced("s1", 2, float("nan")), Refused)

    def test_no_cell_is_at_two_places(self):
        book = changed(ledger().replaced("s1", 2, NOW_S, "SN-1"))
        refused = book.replaced("s2", 3, NOW_S + 5.0, "SN-1")
        assert isinstance(refused, Refused)
        assert "somewhere else" in refused.why

    def test_a_cell_may_come_back_somewhere_else(self):
        book = changed(ledger().replaced("s1", 2, NOW_S, "SN-1"))
        book = changed(book.replaced("s1", 2, NOW_S + 10.0, "SN-2"))
        book = changed(book.replaced("s2", 3, NOW_S + 20.0, "SN-1"))
        assert [(each.string, each.position, each.life) for each in book.history("SN-1")] == [
            ("s1", 2, 2),
            ("s2", 3, 2),
        ]

    def test_an_unknown_place_is_refused(self):
        assert isinstance(ledger().replaced("s1", 9, NOW_S), Refused)


MODULES = {1: "A1", 2: "B2", 3: "C3", 4: "D4"}


class TestModules:
    def known(self) -> CellLedger:
        return ledger().seen("s1", MODULES, NOW_S)

    def test_the_first_introduction_moves_nothing(self):
        assert self.known().stays == ledger().stays
        assert self.known().seen("s1", MODULES, NOW_S + 1.0) == self.known()

    def test_an_exchanged_module_leaves_its_cell(self):
        book = self.known().seen("s1", MODULES | {2: "X9"}, NOW_S + 10.0)
        assert cells(book, NOW_S + 20.0) == ["s1/1/1", "s1/2/1", "s1/3/1", "s1/4/1"]
        assert book.lives("s1") == {1: 1, 2: 1, 3: 1, 4: 1}
        assert {seat.position: seat.serial for seat in book.seats}[2] == "X9"

    def test_addresses_that_change_places_take_their_cells_along(self):
        book = self.known().seen("s1", MODULES | {2: "C3", 3: "B2"}, NOW_S + 10.0)
        assert cells(book, NOW_S + 9.0) == ["s1/1/1", "s1/2/1", "s1/3/1", "s1/4/1"]
        assert cells(book, NOW_S + 10.0) == ["s1/1/1", "s1/3/1", "s1/2/1", "s1/4/1"]
        assert book.lives("s1") == {1: 1, 2: 2, 3: 2, 4: 1}
        assert [(each.position, each.life) for each in book.history("s1/2/1")] == [(2, 1), (3, 2)]

    def test_there_and_back_again(self):
        book = self.known().seen("s1", MODULES | {2: "C3", 3: "B2"}, NOW_S + 10.0)
        book = book.seen("s1", MODULES, NOW_S + 20.0)
        assert cells(book, NOW_S + 21.0) == ["s1/1/1", "s1/2/1", "s1/3/1", "s1/4/1"]
        assert [(each.position, each.life) for each in book.history("s1/3/1")] == [(3, 1), (2, 2), (3, 3)]

    def test_what_is_not_clear_is_left_to_a_person(self):
        round_of_three = MODULES | {1: "B2", 2: "C3", 3: "A1"}
        book = self.known().seen("s1", round_of_three, NOW_S + 10.0)
        assert book.stays == ledger().stays
        assert {seat.position: seat.serial for seat in book.seats} == round_of_three
        only_one_heard = self.known().seen("s1", {2: "C3"}, NOW_S + 10.0)
        assert only_one_heard.stays == ledger().stays

    def test_cells_that_changed_places_can_be_told(self):
        book = changed(ledger().exchanged(("s1", 1), ("s2", 4), NOW_S, "moved by hand"))
        assert cells(book, NOW_S)[0] == "s2/4/1"
        assert cells(book, NOW_S, "s2")[3] == "s1/1/1"
        assert isinstance(book.exchanged(("s1", 1), ("s1", 1), NOW_S + 1.0), Refused)
        assert isinstance(book.exchanged(("s1", 1), ("s1", 2), NOW_S - 1.0), Refused)
        assert isinstance(book.exchanged(("s1", 1), ("s1", 9), NOW_S + 1.0), Refused)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["replace", "exchange", "modules"]), st.integers(1, 3), st.integers(1, 3), st.integers(-50, 50)
    ),
    max_size=15,
)


@settings(max_examples=80)
@given(CHANGES)
def test_each_place_has_one_cell_at_each_time_and_each_cell_one_place(changes):
    book = CellLedger.of({"s1": 3}).seen("s1", {1: "A1", 2: "B2", 3: "C3"}, NOW_S - 100.0)
    for what, one, other, second in changes:
        at_s = NOW_S + second
        if what == "modules":
            seats = {seat.position: seat.serial for seat in book.seats}
            seats[one], seats[other] = seats[other], seats[one]
            book = book.seen("s1", seats, at_s)
            continue
        made = book.replaced("s1", one, at_s) if what == "replace" else book.exchanged(("s1", one), ("s1", other), at_s)
        book = made if isinstance(made, CellLedger) else book
    for second in range(-60, 61, 3):
        there = cells(book, NOW_S + second, positions=3)
        assert len(set(there)) == 3
        assert "" not in there
    for position in range(1, 4):
        stays = sorted((each for each in book.stays if each.position == position), key=lambda each: each.life)
        assert [each.life for each in stays] == list(range(1, len(stays) + 1))
        for before, after in pairwise(stays):
            assert before.to_s == after.from_s


@pytest.mark.parametrize("string", ["s1", "s9"])
def test_unknown_modules_and_strings_are_no_error(string):
    book = ledger().seen(string, {7: "Z1"}, NOW_S)
    assert book.stays == ledger().stays
