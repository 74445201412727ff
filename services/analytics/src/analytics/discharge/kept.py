"""Samples of a discharge as they are kept: single ones while they are young, in blocks of arrays once they are many."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.discharge.record import Singles
from analytics.readings import Floats

BLOCK: Final = 64


@checked_frozen
class Sample:
    """One scan of one string: amperes positive discharging, (n,) volts as read and temperatures."""

    at_s: float
    discharge_a: float
    string_v: float
    ambient_degc: float
    unit_v: Singles
    degc: Singles


@dataclass(frozen=True, slots=True)
class Kept:
    """Samples one behind the other: (T,) and (T, n) arrays, columns as in `DischargeRecord`."""

    at_s: Floats
    discharge_a: Singles
    string_v: Singles
    ambient_degc: Singles
    unit_v: Singles
    degc: Singles

    @classmethod
    def of(cls, samples: tuple[Sample, ...]) -> Self:
        """Return at least one sample as arrays."""
        return cls(
            np.array([each.at_s for each in samples], dtype=np.float64),
            np.array([each.discharge_a for each in samples], dtype=np.float32),
            np.array([each.string_v for each in samples], dtype=np.float32),
            np.array([each.ambient_degc for each in samples], dtype=np.float32),
            np.stack([each.unit_v for each in samples]),
            np.stack([each.degc for each in samples]),
        )

    def only(self, rows: slice | np.ndarray) -> "Kept":
        """Return some of the samples."""
        return Kept(
            self.at_s[rows],
            self.discharge_a[rows],
            self.string_v[rows],
            self.ambient_degc[rows],
            self.unit_v[rows],
            self.degc[rows],
        )


def joined(parts: tuple[Kept, ...]) -> Kept:
    """Return several runs of samples, at least one, as one."""
    return Kept(
        np.concatenate([each.at_s for each in parts]),
        np.concatenate([each.discharge_a for each in parts]),
        np.concatenate([each.string_v for each in parts]),
        np.concatenate([each.ambient_degc for each in parts]),
        np.concatenate([each.unit_v for each in parts]),
        np.concatenate([each.degc for each in parts]),
    )


@checked_frozen
class Body:
    """The kept samples between the onset and the last minute.

    Attributes:
        blocks: full ones.
        pending: fewer than a block.
        spacing_s: least time between two of them after the dense beginning.
        dense_until_s: event time up to which every scan is kept.
        last_s: event time of the newest one.
        count: how many there are.
        most: how many there may be.
    """

    blocks: tuple[Kept, ...]
    pending: tuple[Sample, ...]
    spacing_s: float
    dense_until_s: float
    last_s: float
    count: int
    most: int

    @classmethod
    def empty(cls, dense_until_s: float, most: int) -> Self:
        """Return a body that keeps every scan until a moment, and at most so many samples in all."""
        return cls((), (), 0.0, dense_until_s, float("-inf"), 0, most)

    def take(self, sample: Sample) -> "Body":
        """Return the body with a sample, unless it is too close behind the last one."""
        is_dense = sample.at_s <= self.dense_until_s and self.count < self.most // 2
        if not is_dense and sample.at_s - self.last_s < self.spacing_s:
            return self
        blocks, pending = self.blocks, (*self.pending, sample)
        if len(pending) >= BLOCK:
            blocks, pending = (*blocks, Kept.of(pending)), ()
        body = Body(
            blocks, pending, self.spacing_s, self.dense_until_s, sample.at_s, self.count + 1, self.most
        )  # fmt: skip
        return body if body.count <= self.most else body._thinned()

    def all(self) -> tuple[Kept, ...]:
        """Return every sample in order, as runs."""
        return (*self.blocks, Kept.of(self.pending)) if self.pending else self.blocks

    def _thinned(self) -> "Body":
        """Return the body without every second sample after the dense beginning, and with twice the spacing."""
        whole = joined(self.all())
        dense = min(int(np.searchsorted(whole.at_s, self.dense_until_s, side="right")), self.most // 2)
        rows = np.concatenate([np.arange(dense), np.arange(dense, len(whole.at_s), 2)])
        late_s = np.diff(whole.at_s[dense:])
        usual_s = float(np.median(late_s)) if len(late_s) else 1.0
        kept = whole.only(rows)
        # A little less than twice: scans come with jitter, and the second of two must not be missed by a hair.
        spacing_s = 2.0 * max(self.spacing_s, 0.95 * usual_s)
        return Body((kept,), (), spacing_s, self.dense_until_s, self.last_s, len(rows), self.most)
