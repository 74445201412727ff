"""Records each discharge of each string while it happens: thinned to a bounded number of samples, charge exactly.

Every scan counts for the charge that left the string. Of the samples all of the first and of the last minute are kept;
between them they are spaced, and when there are too many, every second one is dropped and the spacing doubles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Final, Self

import numpy as np

from analytics.believed import Believed
from analytics.checked_frozen import checked_frozen
from analytics.discharge.kept import Sample
from analytics.discharge.record import DischargeRecord, RuntimeSaid
from analytics.discharge.recording import (
    PRE_TRIGGER_S,
    Recording,
    begun,
    by_current,
    ending_of,
    finished,
    follow_recording,
)
from analytics.mode import ModeSaid
from analytics.readings import Layout, Readings

LATEST_ONSET_S: Final = 5.0  # a discharge is told at most this long after its usual onset


@checked_frozen
class StringRecorder:
    """What is known of one string beside its next scan.

    Attributes:
        at_s: event time of the newest scan; minus infinity before the first.
        before: samples of the last seconds, while there is no discharge.
        running: the discharge under way; None while there is none.
    """

    at_s: float = float("-inf")
    before: tuple[Sample, ...] = ()
    running: Recording | None = None


@dataclass(frozen=True, slots=True)
class RecorderMemory:
    """The recorders of all strings, and what was believed of the units at the scan before."""

    strings: tuple[StringRecorder, ...]
    beliefs: Believed

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """Return the memory of strings that were never seen."""
        nothing = np.full(layout.units, np.nan)
        return cls(tuple(StringRecorder() for _ in layout.strings), Believed(nothing, nothing, nothing, nothing))


def follow_recorder(
    memory: RecorderMemory,
    readings: Readings,
    modes: Sequence[ModeSaid],
    beliefs: Believed,
    runtimes: Sequence[RuntimeSaid | None],
    layout: Layout,
) -> tuple[RecorderMemory, tuple[DischargeRecord, ...]]:
    """Return the memory after a batch of scans, and the records of discharges that it ended.

    Args:
        memory: of the batch before.
        readings: the batch. Its arrays are kept for seconds and must not be changed afterwards.
        modes: (S) of this batch.
        beliefs: (N,) of this batch.
        runtimes: (S) what is predicted now; None where nothing is.
        layout: of the strings.
    """
    unit_v = readings.unit_v_as_read.astype(np.float32)
    degc = readings.degc.astype(np.float32)
    scalars = np.stack([readings.at_s, readings.discharge_a, readings.string_v, readings.ambient_degc], axis=1).tolist()
    after: list[StringRecorder] = []
    records: list[DischargeRecord] = []
    for place, (string, mode) in enumerate(zip(layout.strings, modes, strict=True)):
        before, span = memory.strings[place], layout.span(place)
        at_s, discharge_a, string_v, ambient_degc = scalars[place]
        if mode.at_s != at_s or at_s == before.at_s:  # no scan, or one that was late or came twice
            now, record = _without_scan(before, mode, string)
        else:
            now, record = _ended_before(before, mode, at_s, string)
            sample = Sample(at_s, discharge_a, string_v, ambient_degc, unit_v[span], degc[span])
            if mode.is_discharging and now.running is None:
                now = replace(now, running=begun(mode, now.before, memory.beliefs.of(span)))
            now = _scanned(now, sample, mode, beliefs.of(span), runtimes[place])
        after.append(now)
        if record is not None:
            records.append(record)
    return RecorderMemory(tuple(after), beliefs), tuple(records)


def _without_scan(before: StringRecorder, mode: ModeSaid, string: str) -> tuple[StringRecorder, DischargeRecord | None]:
    """Return a string that is silent; its discharge is lost once its mode has given it up."""
    if before.running is None or mode.is_discharging or not isnan(before.running.over_s):
        return before, None
    return replace(before, running=None), finished(before.running, string, "lost")


def _ended_before(
    before: StringRecorder, mode: ModeSaid, at_s: float, string: str
) -> tuple[StringRecorder, DischargeRecord | None]:
    """Return a string whose discharge is over as this scan finds it, and the record of it; else unchanged."""
    running = before.running
    if at_s < before.at_s:  # a new stream: nothing of the old time can be compared
        fresh = StringRecorder()
        return fresh, None if running is None else finished(running, string, "lost")
    if running is None:
        return before, None
    ending = ending_of(running, mode, at_s)
    if ending is None and mode.is_discharging and mode.began_s != running.began_s:
        ending = by_current(running)  # the next one has begun already
    if ending is None:
        return before, None
    return replace(before, running=None), finished(running, string, ending)


def _scanned(
    recorder: StringRecorder, sample: Sample, mode: ModeSaid, beliefs: Believed, said: RuntimeSaid | None
) -> StringRecorder:
    oldest_s, kept, first = sample.at_s - PRE_TRIGGER_S - LATEST_ONSET_S, recorder.before, 0
    while first < len(kept) and kept[first].at_s < oldest_s:
        first += 1
    first = min(first, max(len(kept) - 1, 0))  # of a slow source the newest is what was before, however old
    before = (*kept[first:], sample)
    running = recorder.running
    if running is not None:
        running = follow_recording(running, sample, mode, beliefs, said)
    return StringRecorder(sample.at_s, before, running)
