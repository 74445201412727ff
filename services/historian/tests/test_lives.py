"""Which life a scan is stored under: what site.toml said, and from when on."""

from pathlib import Path

import pytest
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.site_file import parse_site
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.testing.builders import sweep_of
from cellkeeper.testing.suite import site_text
from historian.intake import lived_sweep
from historian.life_file import FILE, lives_of
from historian.lives import MAX_CHANGES, Change, LifeBook
from historian.stores.port import LivedSweep
from hypothesis import given
from hypothesis import strategies as st


def test_the_first_description_holds_for_all_time():
    book = LifeBook()
    assert book.describe("s1", {2: 3}, 1000) == []
    assert book.of("s1", 0, 3) == (1, 3, 1)
    assert book.of("nobody", 0, 3) is None


def test_a_change_begins_with_its_moment_and_leaves_the_time_before():
    book = LifeBook()
    book.describe("s1", {2: 3}, 1000)
    assert book.describe("s1", {2: 4, 3: 2}, 2000) == [Change("s1", 2, 4), Change("s1", 3, 2)]
    assert book.describe("s1", {3: 2, 2: 4}, 3000) == []
    assert [book.of("s1", at, 3) for at in (1999, 2000, 9000)] == [(1, 3, 1), (1, 4, 2), (1, 4, 2)]
    assert book.describe("s1", {}, 4000) == [Change("s1", 2, 1), Change("s1", 3, 1)]
    assert book.of("s1", 4000, 3) is None


def test_a_string_of_another_length_has_as_many_lives_as_units():
    book = LifeBook()
    book.describe("s1", {4: 2}, 0)
    assert book.of("s1", 0, 3) is None
    assert book.of("s1", 0, 5) == (1, 1, 1, 2, 1)


def test_what_was_to_begin_later_never_begins_when_the_clock_was_set_back():
    book = LifeBook()
    book.describe("s1", {}, 0)
    book.describe("s1", {1: 2}, 9000)
    book.describe("s1", {1: 3}, 500)
    assert [book.of("s1", at, 1) for at in (499, 500, 9001)] == [None, (3,), (3,)]


@given(st.lists(st.tuples(st.integers(1, 9), st.dictionaries(st.integers(1, 3), st.integers(1, 4))), max_size=12))
def test_every_scan_has_the_lives_that_were_said_last_before_it(said: list[tuple[int, dict[int, int]]]):
    book, now_ms, plain = LifeBook(), 0, []
    for later_ms, lives in said:
        now_ms += later_ms
        book.describe("s1", lives, now_ms)
        plain.append((now_ms if plain else 0, lives))
    for at_ms in range(now_ms + 2):
        lives = next((lives for from_ms, lives in reversed(plain) if from_ms <= at_ms), {})
        assert (book.of("s1", at_ms, 3) or (1, 1, 1)) == tuple(lives.get(cell, 1) for cell in (1, 2, 3))


def test_each_cell_of_a_sweep_has_the_life_it_was_measured_in():
    book = LifeBook()
    book.describe("s1", {2: 3}, 0)
    book.describe("s1", {2: 4}, 2000)
    sweep = sweep_of([3, 2, 2], measured_at=from_ms(2500), cell_measured_at=[None, from_ms(1999), None])
    assert lived_sweep(sweep, book.of) == LivedSweep(sweep, (1, 3, 4))
    assert lived_sweep(sweep, LifeBook().of) == LivedSweep(sweep)


def test_the_book_is_bounded():
    book = LifeBook()
    for n in range(MAX_CHANGES + 50):
        book.describe("s1", {1: n + 2}, n)
    assert len(book.strings["s1"]) == MAX_CHANGES
    assert book.of("s1", MAX_CHANGES + 49, 1) == (MAX_CHANGES + 51,)


def test_the_book_is_kept_between_two_starts(tmp_path: Path):
    plain = site_text(tmp_path, cells=6)
    replaced = plain.replace("[[string.modules]]", "[string.life]\n4 = 2\n[[string.modules]]")
    _, changes = lives_of(tmp_path, parse_site(plain.encode()), 1000)
    assert changes == []
    _, changes = lives_of(tmp_path, parse_site(replaced.encode()), 2000)
    assert changes == [Change("s1", 4, 2)]
    book, changes = lives_of(tmp_path, parse_site(replaced.encode()), 3000)
    assert changes == []
    assert (book.of("s1", 1999, 6), book.of("s1", 2000, 6)) == (None, (1, 1, 1, 2, 1, 1))


def test_a_damaged_book_is_told_with_what_to_do(tmp_path: Path):
    (tmp_path / FILE).write_text('{"format":1,"strings":{"s1":[{"from_ms":"x"}]}}')
    with pytest.raises(StartRefusedError, match="restore it, or delete it"):
        lives_of(tmp_path, parse_site(site_text(tmp_path).encode()), 1000)
