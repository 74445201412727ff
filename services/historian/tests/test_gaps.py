"""Decades without rows cost nothing: work is counted in what exists, not in the time between."""

from pathlib import Path

import numpy as np
import pytest
from cellkeeper.testing.builders import START_MS, scan_of
from historian.buckets import Buckets
from historian.export.asking import Piece, pieces_of
from historian.stores.block import Block
from historian.stores.embedded.holdings import View
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.reading import Reader
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import CellQuestion, LivedScan, StringQuestion, WriteBatch
from historian.stores.questions import Span

FOREVER = (0, 4_000_000_000_000)
HOUR_MS = 3_600_000
AT_MS = (1000, START_MS)  # 1970 and 2026


def store_with_a_gap(folder: Path, *, packed: bool) -> EmbeddedStore:
    store = EmbeddedStore(folder, "hh1", EmbeddedOptions(reserve_bytes=0))
    store.write(WriteBatch(scans=[LivedScan(scan_of(4, n, measured_ms=at)) for n, at in enumerate(AT_MS, 1)]))
    if packed:
        store.rotate()
        steps = 0
        while store.upkeep().more:
            steps += 1
            assert steps < 20
    return store


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """Collect every span that is read."""
    seen: list[Span] = []
    block, tier = Reader.block, Reader.tier

    def counted_block(self: Reader, view: View, span: Span) -> Block | None:
        seen.append(span)
        return block(self, view, span)

    def counted_tier(self: Reader, view: View, at: int, span: Span) -> Buckets:
        seen.append(span)
        return tier(self, view, at, span)

    monkeypatch.setattr(Reader, "block", counted_block)
    monkeypatch.setattr(Reader, "tier", counted_tier)
    return seen


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("tier", ["full", "1m", "15m", "1d"])
@pytest.mark.parametrize("measurement", ["cell", "string"])
def test_two_scans_half_a_century_apart_are_two_reads(
    tmp_path: Path, reads: list[Span], packed: bool, tier: str, measurement: str
):
    store = store_with_a_gap(tmp_path, packed=packed)
    reads.clear()
    table = store.string_series(StringQuestion("s1", measurement, *FOREVER, tier))  # type: ignore[arg-type]
    assert len(set(table["measured_at"].to_pylist())) == 2
    assert len(reads) <= 2 * 4  # a dirty window of a day is computed from the two tiers and the rows below it
    store.close()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("tier", ["full", "1m", "15m", "1d"])
def test_a_series_over_the_gap_reads_what_exists(tmp_path: Path, reads: list[Span], packed: bool, tier: str):
    store = store_with_a_gap(tmp_path, packed=packed)
    reads.clear()
    table = store.cell_series(CellQuestion("s1", 1, "cell_v", *FOREVER, 100, tier))  # type: ignore[arg-type]
    assert np.sum(table["n_good"].to_numpy()) == 2
    assert len(reads) <= 1 + 2 * 3
    store.close()


@pytest.mark.parametrize("packed", [False, True])
def test_an_export_asks_only_for_hours_with_rows(tmp_path: Path, packed: bool):
    store = store_with_a_gap(tmp_path, packed=packed)
    spans = store.spans(StringQuestion("s1", "cell", *FOREVER))
    assert spans == [(0, HOUR_MS), (START_MS, START_MS + HOUR_MS)]
    assert len(list(pieces_of("s1", spans, "full"))) == 8
    for tier in ("1m", "15m", "1d"):
        coarse = store.spans(StringQuestion("s1", "cell", *FOREVER, tier))  # type: ignore[arg-type]
        assert len(coarse) == 2
        pieces = list(pieces_of("s1", coarse, tier))  # type: ignore[arg-type]
        assert sum(_rows(store, piece, tier) for piece in pieces) == _rows(store, Piece("s1", *FOREVER), tier) > 0
    assert store.spans(StringQuestion("s1", "cell", HOUR_MS, START_MS)) == []
    assert store.spans(StringQuestion("s1", "cell", 500, 1500)) == [(500, 1500)]
    store.close()


def _rows(store: EmbeddedStore, piece: Piece, tier: str) -> int:
    question = StringQuestion(piece.string, "cell", piece.start_ms, piece.end_ms, tier)  # type: ignore[arg-type]
    return store.string_series(question).num_rows
