"""Scans that came later, on `backfill`: what happened while the broker was away is recorded as if it had been seen.

What was known of each string at its newest scan is kept (memories are frozen: it costs nothing). When live scans come
again after a gap, late scans go through the same estimators on that copy, in event time, then the live ones that came
meanwhile. Once the copy has seen the newest one, what it recorded of the string takes the place of what the live side
could guess. Charge, runtime and everything else that is told stay the live side's. No clock and no network here.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Final, Literal

from cellkeeper.contract.scan_columns import ScanColumns, decode_scan

from analytics.discharge.record import DischargeRecord
from analytics.engine import Engine
from analytics.estimating import Asked, Memory, Standing, follow
from analytics.intake import Intake
from analytics.soh.finding import CapacityFinding

LEAST_GAP_S: Final = 10.0  # contract: event time between two scans is never above
LONGEST_GAP_S: Final = 86_400.0  # a longer one would take the estimators minutes; the historian has its scans
MOST_WAITING: Final = 20_000  # late scans, 4 kB each; ten minutes of 32 strings
MOST_LIVE: Final = 600  # scans of one string that come while it catches up
QUIET_S: Final = 60.0  # real time without a late scan from which on none is expected

type Lateness = Literal["taken", "needless", "repeated", "dropped"]


@dataclass(slots=True)
class _Gap:
    """One string that catches up; `from_s` and `until_s` are the scans around the gap, `heard_s` is real time."""

    place: int
    from_s: float
    until_s: float
    stream: str
    until_seq: int
    heard_s: float
    newest_s: float
    seq: int = -1
    used: int = 0
    is_whole: bool = True
    late: deque[bytes] = field(default_factory=deque)
    live: deque[ScanColumns] = field(default_factory=deque)

    def awaits(self, now_s: float) -> bool:
        """Whether more late scans are to be expected."""
        return self.seq != self.until_seq - 1 and now_s - self.heard_s < QUIET_S


@dataclass(frozen=True, slots=True)
class Caught:
    """What late scans of a string showed.

    Attributes:
        string: id.
        scans: late ones that were of use.
        records: discharges within or across the gap that are over.
        findings: what they prove of capacities.
    """

    string: str
    scans: int
    records: tuple[DischargeRecord, ...]
    findings: tuple[CapacityFinding, ...]


@dataclass(slots=True)
class CatchUp:
    """Follows late scans beside the live ones.

    Attributes:
        engine: the live side.
        bleed_a: as the intake has it.
        counts: late scans by what became of them.
    """

    engine: Engine
    bleed_a: Mapping[str, float]
    counts: dict[Lateness, int] = field(
        default_factory=lambda: {"taken": 0, "needless": 0, "repeated": 0, "dropped": 0}
    )
    _known: dict[str, Memory] = field(default_factory=dict)
    _memory: Memory | None = None
    _standing: Standing | None = None
    _gaps: dict[str, _Gap] = field(default_factory=dict)
    _records: list[DischargeRecord] = field(default_factory=list)
    _findings: list[CapacityFinding] = field(default_factory=list)

    @property
    def is_idle(self) -> bool:
        """Whether no string catches up."""
        return not self._gaps

    def before_live(self, scans: Sequence[ScanColumns], now_s: float) -> None:
        """Look at live scans before they are estimated: behind a gap, what was before it is kept.

        Args:
            scans: that were taken, in their order.
            now_s: real time.
        """
        for scan in scans:
            gap = self._gaps.get(scan.string) or self._begun(scan, now_s)
            if gap is None:
                continue
            if len(gap.live) < MOST_LIVE:
                gap.live.append(scan)
            else:
                gap.is_whole = False

    def after_live(self, scans: Sequence[ScanColumns]) -> None:
        """Remember what is known of strings with their newest scans, before they may fall silent."""
        self._known.update(dict.fromkeys((scan.string for scan in scans), self.engine.memory))

    def take_late(self, payload: bytes, scan: ScanColumns, now_s: float) -> Lateness:
        """Take a scan that came on `backfill`; `payload` is what it came as."""
        verdict = self._verdict(scan)
        self.counts[verdict] += 1
        gap = self._gaps.get(scan.string)
        if gap is None or verdict == "needless":
            return verdict
        gap.heard_s = now_s
        if verdict == "taken":
            gap.late.append(payload)
            gap.newest_s, gap.seq = scan.measured_ms / 1000.0, scan.seq if scan.stream == gap.stream else -1
        return verdict

    def step(self, most: int, now_s: float) -> list[Caught]:
        """Follow at most so many scans of each string; return the strings that have caught up."""
        for _ in range(most):
            heads = [self._head(gap, now_s) for gap in self._gaps.values()]
            batch = [scan for scan in heads if scan is not None]
            if not batch:
                break
            self._follow(batch)
        done = [
            string
            for string, gap in self._gaps.items()
            if not gap.late and not gap.awaits(now_s) and (not gap.live or not gap.used)
        ]
        return [caught for string in done if (caught := self._ended(string)) is not None]

    def _begun(self, scan: ScanColumns, now_s: float) -> _Gap | None:
        place = self.engine.layout.strings.index(scan.string)
        known = self._known.get(scan.string, self.engine.memory)
        from_s, until_s = known.recorder.strings[place].at_s, scan.measured_ms / 1000.0
        least_s = max(LEAST_GAP_S, self.engine.rules.mode.strings[place].gap_s)
        if not (isfinite(from_s) and least_s < until_s - from_s <= LONGEST_GAP_S):
            return None
        if self._memory is None:
            self._memory, self._standing = known, Standing.of(known, self.engine.rules)
        else:
            self._memory = self._memory.with_recording(place, known)
        gap = _Gap(place, from_s, until_s, scan.stream, scan.seq, now_s, from_s)
        self._gaps[scan.string] = gap
        return gap

    def _verdict(self, scan: ScanColumns) -> Lateness:
        gap, at_s = self._gaps.get(scan.string), scan.measured_ms / 1000.0
        if gap is None or not gap.from_s < at_s < gap.until_s:
            return "needless"
        span = self.engine.layout.span(gap.place)
        if scan.cells != span.stop - span.start or at_s <= gap.newest_s:
            return "repeated"
        if sum(len(each.late) for each in self._gaps.values()) >= MOST_WAITING:
            return "dropped"
        return "taken"

    @staticmethod
    def _head(gap: _Gap, now_s: float) -> ScanColumns | None:
        """Return the next scan of a string: late ones first, live ones once no more late ones are expected."""
        if gap.late:
            gap.used += 1
            return decode_scan(gap.late.popleft())
        return gap.live.popleft() if gap.live and gap.used and not gap.awaits(now_s) else None

    def _follow(self, batch: Sequence[ScanColumns]) -> None:
        if self._memory is None or self._standing is None:  # a gap begins with both
            return
        (readings,) = Intake(self.engine.layout, self.bleed_a).batches(batch)
        turn = follow(self._memory, self._standing, readings, Asked(), self.engine.rules)
        self._memory, self._standing = turn.memory, turn.standing
        self._records += turn.estimates.records
        self._findings += turn.estimates.findings

    def _ended(self, string: str) -> Caught | None:
        """Return what came of a string that has caught up, and give its recording to the live side."""
        gap = self._gaps.pop(string)
        records = [each for each in self._records if each.string == string]
        findings = tuple(each for each in self._findings if each.string == string)
        if gap.used and self._memory is not None:
            if gap.is_whole:
                self.engine.take_recording(gap.place, self._memory)
            self.engine.learn(findings)
        if not self._gaps:
            self._memory, self._standing, self._records, self._findings = None, None, [], []
        if not gap.used:
            return None
        note = f"{gap.used} scans of the string came later and are in it"
        across = tuple(
            replace(each, notes=(*each.notes, note))
            for each in records
            if each.began_s < gap.until_s and each.ended_s > gap.from_s
        )
        return Caught(string, gap.used, across, findings)
