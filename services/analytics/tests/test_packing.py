"""Memories survive the way to disk bit by bit, whatever they hold, and nothing else comes back from it."""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from analytics.errors import MemoryUnreadableError
from analytics.memory_file import FORMAT, MemoryFile
from analytics.packing import packed, unpacked
from analytics.readings import Floats, Layout
from analytics.refitting import Move, refitted
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

type Word = Literal["float", "rest"]
type Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Leaf:
    x: float
    n: int
    flag: bool
    text: str
    word: Word
    maybe: float | None


@dataclass(frozen=True, slots=True)
class Tree:
    values: Floats
    singles: NDArray[np.float32]
    codes: NDArray[np.uint8]
    bits: Bits
    leaf: Leaf
    perhaps: Leaf | None
    leaves: tuple[Leaf, ...]
    pair: tuple[int, str]
    deep: tuple[tuple[float, ...], ...] = ()


numbers = st.floats(allow_nan=True, allow_infinity=True)
leaves = st.builds(
    Leaf, numbers, st.integers(-(2**53), 2**53), st.booleans(), st.text(max_size=8), st.sampled_from(["float", "rest"]),
    st.none() | numbers,
)  # fmt: skip
shapes = npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
trees = st.builds(
    Tree,
    npst.arrays(np.float64, shapes),
    npst.arrays(np.float32, shapes),
    npst.arrays(np.uint8, shapes),
    npst.arrays(np.bool_, shapes),
    leaves,
    st.none() | leaves,
    st.lists(leaves, max_size=3).map(tuple),
    st.tuples(st.integers(0, 9), st.text(max_size=3)),
    st.lists(st.lists(numbers, max_size=3).map(tuple), max_size=3).map(tuple),
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, float):
        return type(other) is float and (one == other or (math.isnan(one) and math.isnan(other)))
    return type(one) is type(other) and one == other


@given(trees)
def test_everything_comes_back_as_it_was(tree: Tree):
    assert same(unpacked(Tree, packed(tree)), tree)


@given(trees, st.data())
def test_damaged_bytes_are_refused_or_read_and_never_an_error_of_another_kind(tree: Tree, data: st.DataObject):
    raw = bytearray(packed(tree))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpacked(Tree, bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except MemoryUnreadableError:
        return
    assert isinstance(found, Tree)


def test_a_class_that_is_not_asked_for_is_not_made():
    leaf = Leaf(1.0, 2, True, "a", "rest", None)
    with pytest.raises(MemoryUnreadableError):
        unpacked(Tree, packed(leaf))
    wrong = packed(leaf).replace(b'"rest"', b'"fest"')
    with pytest.raises(MemoryUnreadableError, match="fest"):
        unpacked(Leaf, wrong)


def test_a_field_that_is_new_has_its_default():
    @dataclass(frozen=True)
    class Now:
        n: int
        since_s: float = math.nan

    @dataclass(frozen=True)
    class Before:
        n: int

    assert math.isnan(unpacked(Now, packed(Before(3))).since_s)


def test_what_cannot_be_kept_is_said_when_it_is_written():
    with pytest.raises(TypeError, match="dict"):
        packed(Leaf(1.0, 2, True, {}, "rest", None))  # type: ignore[arg-type]


# --- a site that is described anew ---


@dataclass(frozen=True, slots=True)
class Each:
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Learned:
    of_units: Floats
    newest: Floats
    of_strings: Floats
    strings: tuple[Each, ...]
    scans: int

    @classmethod
    def empty(cls, layout: Layout) -> "Learned":
        many = len(layout.strings)
        return cls(np.zeros(layout.units), np.zeros((3, layout.units)), np.zeros(many), (Each(),) * many, 0)

    @classmethod
    def filled(cls, layout: Layout) -> "Learned":
        n, many = layout.units, len(layout.strings)
        return cls(
            np.arange(1.0, n + 1), np.arange(3.0 * n).reshape(3, n) + 1, np.arange(1.0, many + 1),
            tuple(Each(at + 1.0) for at in range(many)), 7,
        )  # fmt: skip


def layout_of(**units: int) -> Layout:
    return Layout.of(units, dict.fromkeys(units, 1))


def test_strings_that_stayed_keep_what_was_learned_wherever_they_are_now():
    before, now = layout_of(s1=2, s2=3, s3=4), layout_of(s3=4, new=2, s1=2, s2=5)
    move = Move.between(before, now)
    assert move.anew == ("new", "s2")
    found = refitted(Learned.filled(before), Learned.empty(now), move)
    assert found.of_units.tolist() == [6, 7, 8, 9, 0, 0, 1, 2, 0, 0, 0, 0, 0]
    assert found.newest[1].tolist() == [15, 16, 17, 18, 0, 0, 10, 11, 0, 0, 0, 0, 0]
    assert found.of_strings.tolist() == [3, 0, 1, 0]
    assert [each.at_s for each in found.strings] == [3.0, 0.0, 1.0, 0.0]
    assert found.scans == 7


def test_a_unit_of_other_cells_is_another_unit():
    before = Layout.of({"s1": 2}, {"s1": 1})
    assert Move.between(before, Layout.of({"s1": 2}, {"s1": 6})).anew == ("s1",)


# --- the file ---


@dataclass(frozen=True, slots=True)
class Whole:
    first: Learned
    second: Each = field(default_factory=Each)


def test_a_file_is_read_back_and_one_that_is_not_there_begins_anew(tmp_path: Path):
    layout, file = layout_of(s1=2, s2=3), MemoryFile(tmp_path / "learned.ckm")
    empty = Whole(Learned.empty(layout))
    assert file.read(empty, layout).memory is empty
    whole = Whole(Learned.filled(layout), Each(5.0))
    assert file.write(whole, layout)
    found = file.read(empty, layout)
    assert same(found.memory, whole)
    assert (found.strings_anew, found.parts_anew) == ((), ())


def test_strings_that_lost_their_place_are_named_and_copies_are_few(tmp_path: Path):
    before, now, file = layout_of(s1=2, s2=3, s3=1), layout_of(s1=2, s2=4, new=1), MemoryFile(tmp_path / "learned.ckm")
    assert file.set_aside("20260101T000000Z") is None, "there is nothing to keep yet"
    assert file.write(Whole(Learned.filled(before)), before)
    assert file.read(Whole(Learned.empty(now)), now).strings_lost == ("s2", "s3")
    copies = [file.set_aside(f"2026010{day}T000000Z") for day in range(1, 8)]
    assert [copy.exists() for copy in copies] == [False] * 2 + [True] * 5


def test_a_part_that_is_damaged_begins_anew_alone(tmp_path: Path):
    layout, file = layout_of(s1=2), MemoryFile(tmp_path / "learned.ckm")
    file.write(Whole(Learned.filled(layout), Each(5.0)), layout)
    raw = bytearray(file.path.read_bytes())
    raw[raw.index(b"\n") + 20] ^= 1
    file.path.write_bytes(raw)
    found = file.read(Whole(Learned.empty(layout)), layout)
    assert found.memory.second == Each(5.0)
    assert found.memory.first.scans == 0
    assert [each.split(" ")[0] for each in found.parts_anew] == ["first"]


@pytest.mark.parametrize("raw", [b"", b"nothing", b'{"format":1}\n', b"[]\n"])
def test_a_file_that_is_none_is_said(tmp_path: Path, raw: bytes):
    file = MemoryFile(tmp_path / "learned.ckm")
    file.path.write_bytes(raw)
    with pytest.raises(MemoryUnreadableError):
        file.read(Whole(Learned.empty(layout_of(s1=2))), layout_of(s1=2))


def test_a_newer_format_is_refused(tmp_path: Path):
    layout, file = layout_of(s1=2), MemoryFile(tmp_path / "learned.ckm")
    file.write(Whole(Learned.empty(layout)), layout)
    file.path.write_bytes(file.path.read_bytes().replace(b'"format":1', b'"format":%d' % (FORMAT + 1)))
    with pytest.raises(MemoryUnreadableError, match="format"):
        file.read(Whole(Learned.empty(layout)), layout)


def test_a_disk_that_does_not_take_it_is_an_answer(tmp_path: Path):
    layout = layout_of(s1=2)
    assert not MemoryFile(tmp_path / "nowhere/learned.ckm").write(Whole(Learned.empty(layout)), layout)
