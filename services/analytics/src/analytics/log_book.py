"""What of the estimates a log book should hold: discharges, capacities, doubts that begin, impedances that rose."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Final

import numpy as np
from cellkeeper.contract.estimate_state import Doubt
from cellkeeper.runtime.service import ServiceVoice

from analytics.estimates import Estimates
from analytics.papers import ended_text
from analytics.readings import Layout
from analytics.runtime.words import runtime_sentence
from analytics.soh.finding import CapacityFinding
from analytics.unit_estimates import R_STATES

MAX_CELLS: Final = 8  # that a text names
AGAIN_S: Final = 86_400.0  # event time
_WARNING: Final = R_STATES.index("warning")

_DOUBTS: Final[dict[Doubt, str]] = {
    "sign_suspect": "its current sensor seems to be mounted the wrong way round: charge is not counted; turn it, or "
    "set `reversed` of the sensor in site.toml",
    "no_current": "it has no current: charge follows from voltages alone, with wide bounds; fit a sensor, or look why "
    "it is silent",
}


@dataclass(slots=True)
class LogBook:
    """Compares an estimate with the one before and tells what is new.

    Attributes:
        layout: of the site.
        voice: for events.
        known: places of strings whose discharge was told before the process began.
    """

    layout: Layout
    voice: ServiceVoice
    known: frozenset[int] = frozenset()
    _told_s: dict[tuple[int, Doubt], float] = field(default_factory=dict)

    def tell(self, before: Estimates | None, now: Estimates) -> bool:
        """Tell what is new; True when something began or ended that a crash must not lose."""
        for record in now.records:
            self.voice.event("discharge.ended", "info", ended_text(record), string=record.string)
        for string in dict.fromkeys(finding.string for finding in now.findings):
            self._capacity(string, [finding for finding in now.findings if finding.string == string])
        changed = bool(now.records or now.findings)
        for place, string in enumerate(self.layout.strings):
            changed |= self._discharge(before, now, place, string)
            self._doubts(now, place, string)
        if before is not None and before.units.r_state is not now.units.r_state:
            self._impedance(before, now)
        return changed

    def _doubts(self, now: Estimates, place: int, string: str) -> None:
        """Tell doubts that begin; one that comes and goes is told once a day."""
        at_s = float(now.at_s[place])
        for doubt in now.doubts[place] if not isnan(at_s) else ():
            last_s = self._told_s.get((place, doubt))
            if last_s is None or abs(at_s - last_s) > AGAIN_S:
                self.voice.event(f"estimate.{doubt}", "warning", f"{string}: {_DOUBTS[doubt]}", string=string)
                self._told_s[place, doubt] = at_s

    def _discharge(self, before: Estimates | None, now: Estimates, place: int, string: str) -> bool:
        was = place in self.known if before is None else before.modes[place].is_discharging
        said = now.modes[place]
        if said.is_discharging == was:
            return False
        if said.is_discharging:
            is_known = not isnan(now.runtime.bus_left_s[place])
            sentence = f"; {runtime_sentence(string, now.runtime, place)}" if is_known else ""
            text = f"{string} carries its load: {said.why}{sentence}"
            self.voice.event("discharge.began", "warning", text, string=string)
        return True

    def _capacity(self, string: str, findings: Sequence[CapacityFinding]) -> None:
        """Tell what a discharge of a string proves, by each method that says something; else why it proves nothing."""
        proven = [finding for finding in findings if finding.is_proven]
        for finding in proven:
            lowest = int(np.nanargmin(finding.unit_frac))
            text = (
                f"capacity of {int(np.sum(~np.isnan(finding.unit_frac)))} units of {string} from a "
                f"{finding.method.replace('_', ' ')}: lowest {finding.unit_frac[lowest]:.1%} at cell {lowest + 1}; "
                f"{finding.why}"
            )
            self.voice.event("estimate.capacity", "info", text, string=string)
        if not proven:
            why = "; ".join(dict.fromkeys(finding.why.removeprefix("not proven: ") for finding in findings))
            text = f"a discharge of {string} proves no capacity: {why}"
            self.voice.event("estimate.not_proven", "info", text, string=string)

    def _impedance(self, before: Estimates, now: Estimates) -> None:
        was, state = before.units.r_state, now.units.r_state
        worse = np.flatnonzero((state >= _WARNING) & (state > was))
        for place, string in enumerate(self.layout.strings):
            span = self.layout.span(place)
            units = worse[(worse >= span.start) & (worse < span.stop)]
            if len(units):
                text = _risen(string, units - span.start, now, span)
                self.voice.event("impedance.risen", "warning", text, string=string)


def _risen(string: str, units: "np.ndarray[tuple[int], np.dtype[np.intp]]", now: Estimates, span: slice) -> str:
    named = [f"{unit + 1} ({now.units.r_own_frac[span][unit]:.2f})" for unit in units[:MAX_CELLS].tolist()]
    more = f" and {len(units) - MAX_CELLS} more" if len(units) > MAX_CELLS else ""
    return f"impedance of {string} over the own baseline at cell {', '.join(named)}{more}; test their capacity"
