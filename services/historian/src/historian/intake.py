"""From arrived scans to one batch for the store, and from a durable batch to receipts. Pure: time comes in.

A scan becomes a row, unless it is known already, lies more than five minutes in the future, or is older than what
retention keeps; the last two are set aside as they came. Either way it counts as stored: the gateway need not keep it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cellkeeper.contract.moment import format_ms, to_ms
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.telemetry import ImpedanceSweep

from historian.receipts import LostSpan, Positions, Receipt, Receipts, ScanKey
from historian.stores.port import FIRST_LIFE, AsideScan, LivedScan, LivedSweep, Notice, WriteBatch

type LivesOf = Callable[[str, int, int], tuple[int, ...] | None]

FUTURE_MS: Final = 5 * 60_000
NOTICE_AGAIN_MS: Final = 10 * 60_000  # a wrong clock makes one event per string and ten minutes, not one per scan


@dataclass(frozen=True, slots=True)
class Intaken:
    """One batch on its way: what to write, and what to book and say once that is durable."""

    batch: WriteBatch
    keys: tuple[ScanKey, ...]
    repeated: frozenset[tuple[str, str]]
    notices: tuple[Notice, ...]


@dataclass(slots=True)
class Intake:
    """Sorts scans and keeps the book of receipts.

    Attributes:
        receipts: what is durable, by stream.
        newest_ms: newest stored time by string; the future is judged from it when the own clock is behind.
        kept_from_ms: what retention deleted up to, by string.
        lives: the life of each position, given string, time in ms and number of positions; None where nothing was ever
            replaced.
    """

    receipts: Receipts
    newest_ms: dict[str, int]
    kept_from_ms: Callable[[str], int | None]
    lives: LivesOf
    _said_ms: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, scans: Sequence[ScanColumns], now_ms: int) -> Intaken:
        """Return what the scans mean at event time `now_ms`; nothing is booked yet."""
        keys = tuple(ScanKey(scan.string, scan.stream, scan.seq, scan.oldest_seq) for scan in scans)
        plan = self.receipts.plan(keys)
        fresh = set(plan.fresh)
        rows: list[LivedScan] = []
        aside: list[AsideScan] = []
        notices = [_loss(span) for span in plan.lost if span.is_loss]
        for at in plan.fresh:
            scan = scans[at]
            if self._is_future(scan, now_ms):
                aside.append(AsideScan(scan, "future"))
            elif (kept := self.kept_from_ms(scan.string)) is not None and scan.measured_ms < kept:
                aside.append(AsideScan(scan, "too_old"))
            else:
                rows.append(LivedScan(scan, self.lives(scan.string, scan.measured_ms, scan.cells)))
        notices += self._tell(aside, now_ms)
        repeated = frozenset((key.string, key.stream) for at, key in enumerate(keys) if at not in fresh)
        batch = WriteBatch(scans=rows, lost=plan.lost, aside=aside)
        return Intaken(batch, tuple(keys[at] for at in plan.fresh), repeated, tuple(notices))

    def done(self, intaken: Intaken) -> list[Receipt]:
        """Book a batch that is durable; return the receipts to publish, the newest stream of a string last.

        A stream that sent something again gets its receipt again: the gateway has not seen it.
        """
        for lived in intaken.batch.scans:
            scan = lived.scan
            self.newest_ms[scan.string] = max(scan.measured_ms, self.newest_ms.get(scan.string, scan.measured_ms))
        moved = self.receipts.confirm(intaken.keys, intaken.batch.lost)
        told = {(receipt.string, receipt.stream) for receipt in moved}
        again = intaken.repeated - told
        wanted = told | again
        return [r for r in self.receipts.standing() if (r.string, r.stream) in wanted] if again else moved

    def _is_future(self, scan: ScanColumns, now_ms: int) -> bool:
        newest_ms = max(now_ms, self.newest_ms.get(scan.string, now_ms))
        return scan.measured_ms > newest_ms + FUTURE_MS

    def _tell(self, aside: Iterable[AsideScan], now_ms: int) -> list[Notice]:
        notices = []
        for item in aside:
            topic = (item.scan.string, item.reason)
            last_ms = self._said_ms.get(topic)
            if last_ms is None or abs(now_ms - last_ms) >= NOTICE_AGAIN_MS:
                self._said_ms[topic] = now_ms
                notices.append(_aside(item))
        return notices


def lived_sweep(sweep: ImpedanceSweep, lives: LivesOf) -> LivedSweep:
    """Return a sweep with the life that each of its units was in when it was measured."""
    found = []
    for cell, at in zip(sweep.cells, sweep.cell_measured_at, strict=True):
        known = lives(sweep.string, to_ms(at or sweep.measured_at), cell)
        found.append(known[cell - 1] if known else FIRST_LIFE)
    return LivedSweep(sweep, tuple(found) if set(found) - {FIRST_LIFE} else None)


def intake_of(
    positions: Positions,
    newest_ms: Mapping[str, int],
    kept_from_ms: Callable[[str], int | None],
    lives: LivesOf = lambda *_: None,
) -> Intake:
    """Return an intake that goes on from what a store has."""
    return Intake(Receipts(positions), dict(newest_ms), kept_from_ms, lives)


def _loss(span: LostSpan) -> Notice:
    many = span.last - max(span.first, 1) + 1
    return Notice(
        "scan.lost",
        "error",
        f"{many} scans of stream {span.stream} ({max(span.first, 1)} to {span.last}) are not in the store, and the "
        "gateway has them no more",
        span.string,
    )


def _aside(item: AsideScan) -> Notice:
    at = format_ms(item.scan.measured_ms)
    if item.reason == "future":
        text = f"a scan of {at} lies more than 5 min in the future and is set aside; check the gateway's clock"
    else:
        text = f"a scan of {at} is older than the rows that retention keeps and is set aside"
    return Notice(f"scan.{item.reason}", "warning", text, item.scan.string)
