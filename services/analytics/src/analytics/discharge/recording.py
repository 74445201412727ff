"""One discharge under way: what is kept of it, its charge, and the record that it becomes."""

from collections.abc import Sequence
from dataclasses import replace
from math import isnan, nan
from typing import Final, Literal

import numpy as np

from analytics.announced import Announcement
from analytics.believed import Believed
from analytics.checked_frozen import checked_frozen
from analytics.discharge.kept import Body, Kept, Sample, joined
from analytics.discharge.record import DischargeRecord, RuntimeSaid
from analytics.mode import ModeSaid
from analytics.modes import Mode

PRE_TRIGGER_S: Final = 10.0
DENSE_S: Final = 60.0
TAIL_S: Final = 75.0  # the last minute of the load, and the seconds until its end is believed
MOST_IN_TAIL: Final = 400
MOST_SAMPLES: Final = 4000
FEWEST_SAMPLES: Final = 800
MOST_VALUES: Final = 480_000  # per column: the memory of a room full of long strings has to fit on disk and in RAM
MOST_SAID: Final = 240
LOST_AFTER_S: Final = 900.0
WAITS_S: Final = 30.0  # for what follows, before the sign of the current decides
SHORTEST_S: Final = 5.0  # a load step that the battery carried for a moment is no event
LOAD_FRAC: Final = 0.02  # of the largest current: below it the load is off
MOST_UNCOUNTED_FRAC: Final = 0.1  # of the time, without a current: above it the charge is unknown

type Ending = Literal["recharge", "rest", "open", "lost"]

ENDING_OF: Final[dict[Mode, Ending]] = {
    "recharge": "recharge",
    "boost": "recharge",
    "float": "recharge",
    "rest": "rest",
    "open": "open",
}


@checked_frozen
class Charge:
    """Charge that left the string, by the trapezoid rule over every scan with a current.

    Attributes:
        ah: so far.
        at_s, a: of the newest scan with a current; NaN before the first.
        uncounted_s: bridged between two currents that are further apart than a gap.
        largest_a: so far.
    """

    ah: float = 0.0
    at_s: float = nan
    a: float = nan
    uncounted_s: float = 0.0
    largest_a: float = 0.0

    def count(self, at_s: float, discharge_a: float, gap_s: float) -> "Charge":
        """Return the charge after a scan, bridging more than `gap_s` under protest; what flows back does not count."""
        if isnan(discharge_a):
            return self
        a = max(discharge_a, 0.0)
        largest_a = max(self.largest_a, a)
        if isnan(self.at_s):
            return replace(self, at_s=at_s, a=a, largest_a=largest_a)
        dt_s = at_s - self.at_s
        ah = self.ah + 0.5 * (a + self.a) * dt_s / 3600.0
        return Charge(ah, at_s, a, self.uncounted_s + (dt_s if dt_s > gap_s else 0.0), largest_a)


@checked_frozen
class Recording:
    """A discharge under way.

    Attributes:
        kind, began_s: as in `DischargeRecord`.
        dated_by: as the mode said.
        body, tail: kept samples, and all of the last minute.
        charge: that left the string.
        scans, missing_s: since the onset.
        last_s: newest scan.
        load_s: newest scan with load.
        over_s: since when the mode sees no load; NaN while it does.
        last_a: newest known current.
        before: believed just before the onset.
        newest: believed at the newest scan with load.
        said: predictions.
        test: as it was announced; None where it was not.
    """

    kind: Literal["outage", "test"]
    began_s: float
    dated_by: str
    body: Body
    tail: tuple[Sample, ...]
    charge: Charge
    scans: int
    missing_s: float
    last_s: float
    load_s: float
    over_s: float
    last_a: float
    before: Believed
    newest: Believed
    said: tuple[RuntimeSaid, ...]
    test: Announcement | None = None

    def counted(self, sample: Sample, charge: Charge, missing_s: float, load_s: float) -> "Recording":
        """Return the recording with a scan counted; several times as fast as `replace`, and asked in every scan."""
        last_a = self.last_a if isnan(sample.discharge_a) else sample.discharge_a
        return Recording(
            self.kind, self.began_s, self.dated_by, self.body, self.tail, charge, self.scans + 1, missing_s,
            sample.at_s, load_s, self.over_s, last_a, self.before, self.newest, self.said, self.test,
        )  # fmt: skip

    def with_load(
        self, mode: ModeSaid, body: Body, tail: tuple[Sample, ...], beliefs: Believed, said: RuntimeSaid | None
    ) -> "Recording":
        """Return the recording with what a scan on load changes beside the counts; as fast, for the same reason."""
        return Recording(
            "test" if mode.mode == "test" else self.kind, self.began_s, self.dated_by, body, tail, self.charge,
            self.scans, self.missing_s, self.last_s, self.load_s, self.over_s, self.last_a, self.before, beliefs,
            _said(self.said, said), self.test or mode.test,
        )  # fmt: skip


def begun(mode: ModeSaid, before: Sequence[Sample], beliefs: Believed) -> Recording:
    """Return the recording of a discharge that a mode tells of, from the samples before it on; the next scan follows.

    Args:
        mode: of the string, discharging.
        before: samples up to the scan before this one.
        beliefs: at the scan before.
    """
    units = len(beliefs.soc_frac)
    most = min(max(MOST_VALUES // max(units, 1), FEWEST_SAMPLES), MOST_SAMPLES) - MOST_IN_TAIL
    recording = Recording(
        kind="test" if mode.mode == "test" else "outage",
        began_s=mode.began_s,
        dated_by=mode.dated_by,
        body=Body.empty(mode.began_s + DENSE_S, most),
        tail=_kept_before(before, mode),
        charge=Charge(),
        scans=0,
        missing_s=0.0,
        last_s=nan,
        load_s=mode.began_s,
        over_s=nan,
        last_a=nan,
        before=beliefs,
        newest=beliefs,
        said=(),
        test=mode.test,
    )
    for sample in before:
        if sample.at_s >= mode.began_s:
            recording = _counted(recording, sample, mode.gap_s)
    return recording


def _kept_before(before: Sequence[Sample], mode: ModeSaid) -> tuple[Sample, ...]:
    """Return the last seconds before the onset; of a source that is slower than that its last sample without a gap."""
    oldest_s = mode.began_s - PRE_TRIGGER_S
    last_s = max((each.at_s for each in before if each.at_s < mode.began_s), default=nan)
    if mode.began_s - mode.gap_s <= last_s < oldest_s:
        oldest_s = last_s
    return tuple(each for each in before if each.at_s >= oldest_s)


def follow_recording(
    recording: Recording, sample: Sample, mode: ModeSaid, beliefs: Believed, said: RuntimeSaid | None
) -> Recording:
    """Return the recording after one more scan."""
    tail, body = (*recording.tail, sample), recording.body
    while len(tail) > MOST_IN_TAIL or sample.at_s - tail[0].at_s > TAIL_S:
        body, tail = body.take(tail[0]), tail[1:]
    if not isnan(recording.over_s):
        return replace(recording, tail=tail, body=body, last_s=sample.at_s)
    if not mode.is_discharging:
        return replace(_counted(recording, sample, mode.gap_s), tail=tail, body=body, over_s=sample.at_s)
    return _counted(recording, sample, mode.gap_s).with_load(mode, body, tail, beliefs, said)


def ending_of(recording: Recording, mode: ModeSaid, at_s: float) -> Ending | None:
    """Return how a recording ended, None while that is not clear yet."""
    if at_s - recording.last_s > LOST_AFTER_S:
        return "lost"
    if isnan(recording.over_s):
        return None
    if mode.mode in ENDING_OF:
        return ENDING_OF[mode.mode]
    return by_current(recording) if at_s - recording.over_s > WAITS_S else None


def by_current(recording: Recording) -> Ending:
    """Return what the current tells of the end where the mode does not."""
    return "recharge" if recording.last_a < -LOAD_FRAC * recording.charge.largest_a else "rest"


def finished(recording: Recording, string: str, ended_by: Ending) -> DischargeRecord | None:
    """Return the record of a discharge; None for one that is too short to be an event."""
    kept = joined((*recording.body.all(), Kept.of(recording.tail)))
    duration_s = recording.load_s - recording.began_s
    if duration_s < SHORTEST_S:
        return None
    charge = recording.charge
    is_counted = charge.largest_a > 0.0 and charge.uncounted_s <= MOST_UNCOUNTED_FRAC * duration_s
    return DischargeRecord(
        string=string,
        kind=recording.kind,
        began_s=recording.began_s,
        ended_s=recording.load_s,
        ended_by=ended_by,
        at_s=kept.at_s,
        discharge_a=kept.discharge_a,
        string_v=kept.string_v,
        ambient_degc=kept.ambient_degc,
        unit_v=kept.unit_v,
        degc=kept.degc,
        moved_ah=charge.ah if is_counted else nan,
        soc_frac=np.stack([recording.before.soc_frac, recording.newest.soc_frac]),
        soc_sd_frac=np.stack([recording.before.soc_sd_frac, recording.newest.soc_sd_frac]),
        soh_frac=recording.before.soh_frac,
        soh_sd_frac=recording.before.soh_sd_frac,
        said=recording.said,
        scans=recording.scans,
        missing_s=recording.missing_s,
        notes=_notes(recording, kept, is_counted=is_counted, ended_by=ended_by),
        method="" if recording.test is None else recording.test.method,
        led_by="" if recording.test is None else recording.test.by,
    )


def _counted(recording: Recording, sample: Sample, gap_s: float) -> Recording:
    """Return the recording with one scan of the discharge counted."""
    before_s = recording.began_s if isnan(recording.last_s) else recording.last_s
    step_s = sample.at_s - before_s
    charge = recording.charge
    if isnan(charge.at_s) and not isnan(sample.discharge_a):
        charge = charge.count(
            recording.began_s, sample.discharge_a, gap_s
        )  # what flowed before it is taken as constant
    charge = charge.count(sample.at_s, sample.discharge_a, gap_s)
    has_load = isnan(sample.discharge_a) or sample.discharge_a > LOAD_FRAC * charge.largest_a
    missing_s = recording.missing_s + (step_s if step_s > gap_s else 0.0)
    return recording.counted(sample, charge, missing_s, sample.at_s if has_load else recording.load_s)


def _said(before: tuple[RuntimeSaid, ...], said: RuntimeSaid | None) -> tuple[RuntimeSaid, ...]:
    """Return the predictions with a new one; when there are many, every second of the older ones is forgotten."""
    if said is None or (before and said.at_s <= before[-1].at_s):
        return before
    if len(before) < MOST_SAID:
        return (*before, said)
    return (*before[0::2], said)


def _notes_of_onset(recording: Recording) -> list[str]:
    notes = []
    if recording.dated_by == "first scan":
        notes.append("it was under way at the first scan: its onset and the charge before are unknown")
    if recording.dated_by == "current":
        notes.append("its onset is dated by the current: the voltage fell too slowly to show a step")
    late_s = 0.0 if recording.test is None else recording.test.from_s - recording.began_s
    if late_s > SHORTEST_S:
        notes.append(f"it was announced as a test {late_s:.0f} s after its onset")
    return notes


def _notes(recording: Recording, kept: Kept, *, is_counted: bool, ended_by: Ending) -> tuple[str, ...]:
    notes = _notes_of_onset(recording)
    if recording.missing_s > 0.0:
        notes.append(f"{recording.missing_s:.0f} s without a scan")
    if recording.charge.uncounted_s > 0.0:
        notes.append(f"charge interpolated over {recording.charge.uncounted_s:.0f} s without a current")
    if not is_counted:
        notes.append("the charge is unknown: no current, or not for most of the time")
    silent = np.flatnonzero(np.isnan(kept.unit_v).all(axis=0)) + 1
    if len(silent):
        shown = ", ".join(map(str, silent[:20])) + (" and more" if len(silent) > 20 else "")
        notes.append(f"no readings of {'unit' if len(silent) == 1 else 'units'} {shown}")
    if ended_by == "lost":
        notes.append("its end was not seen: the string fell silent or its clock was set back")
    return tuple(notes)
