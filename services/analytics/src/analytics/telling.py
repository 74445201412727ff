"""When modes and estimates are told, and their payloads: by exception, and often enough not to expire. Pure."""

from dataclasses import dataclass, field
from math import isnan
from typing import Any, Final

import numpy as np
from cellkeeper.contract.estimate_state import RuntimeEstimate, StringEstimate
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.telemetry import StringMode

from analytics.cell_telling import BANDS
from analytics.estimates import Estimates
from analytics.mode import ModeSaid
from analytics.readings import Layout
from analytics.runtime.follow import Runtime
from analytics.runtime.words import runtime_sentence
from analytics.unit_estimates import WORDS, UnitEstimates

FLOAT_S: Final = 10.0  # event time between two estimates of one string
DISCHARGE_S: Final = 2.0  # the same while it carries its load
TELL_AT_MOST_S: Final = 1.0  # real time between two of one string, however fast its clock
RUNTIME_S: Final = 10.0  # a runtime that differs by less, or by less than the next, is the same
RUNTIME_FRAC: Final = 0.02
NEVER_S: Final = 1e9  # who would last for longer says nothing of it
MAX_SENTENCE: Final = 200


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is retained has to be told again.

    Attributes:
        refresh_s: event time, from `site.toml`.
        expires_s: real time after which the broker forgets it.
    """

    refresh_s: float
    expires_s: float


@dataclass(frozen=True, slots=True)
class _Told:
    """An estimate as it was told last."""

    at_s: float
    real_s: float
    units: UnitEstimates
    runtime: RuntimeEstimate
    doubts: tuple[str, ...]


@dataclass(slots=True)
class Telling:
    """Remembers what of each string was told last.

    Attributes:
        layout: of the site.
        not_validated: by string: groups of chemistry values that were never checked against real cells.
        pace: of the site.
    """

    layout: Layout
    not_validated: dict[str, list[str]]
    pace: Pace
    _modes: dict[int, tuple[str, float, float]] = field(default_factory=dict)
    _estimates: dict[int, _Told] = field(default_factory=dict)

    def forget(self) -> None:
        """Tell everything again: the broker may have started with nothing."""
        self._modes.clear()
        self._estimates.clear()

    def modes_due(self, modes: tuple[ModeSaid, ...], now_ms: int, real_s: float) -> list[StringMode]:
        """Return the modes to tell now.

        Args:
            modes: (S).
            now_ms: event time; a string that is silent is told as of now.
            real_s: for what expires.
        """
        found = []
        for place, said in enumerate(modes):
            last = self._modes.get(place)
            if isnan(said.at_s):
                continue  # never heard: an absent mode says so
            is_new = last is None or last[:2] != (said.mode, said.since_s)
            if is_new or last is None or real_s - last[2] >= self.pace.expires_s / 3.0:
                self._modes[place] = said.mode, said.since_s, real_s
                found.append(mode_payload(self.layout.strings[place], said, now_ms))
        return found

    def estimates_due(self, told: Estimates, real_s: float) -> list[int]:
        """Return the places of strings whose estimate is to be told now, and count them as told."""
        found = []
        for place in np.flatnonzero(~np.isnan(told.at_s)).tolist():
            at_s, last = float(told.at_s[place]), self._estimates.get(place)
            if last is not None and (at_s == last.at_s or not self._is_due(told, place, last, real_s)):
                continue
            units = told.units.of(self.layout.span(place))
            self._estimates[place] = _Told(at_s, real_s, units, self._runtime(told, place), told.doubts[place])
            found.append(place)
        return found

    def _runtime(self, told: Estimates, place: int) -> RuntimeEstimate:
        return runtime_estimate(told.runtime, place, self.layout.strings[place])

    def _is_due(self, told: Estimates, place: int, last: _Told, real_s: float) -> bool:
        since_s = abs(float(told.at_s[place]) - last.at_s)  # a clock that was set back does not silence a string
        wait_s = DISCHARGE_S if told.modes[place].is_discharging else FLOAT_S
        if since_s < wait_s or real_s - last.real_s < TELL_AT_MOST_S:
            return False
        if since_s >= self.pace.refresh_s or real_s - last.real_s >= self.pace.expires_s / 3.0:
            return True
        if told.doubts[place] != last.doubts or _runtime_moved(last.runtime, self._runtime(told, place)):
            return True
        return _moved(last.units, told.units.of(self.layout.span(place)))

    def payload(self, told: Estimates, place: int) -> StringEstimate:
        """Return the estimate of a string as the wire has it, once it is due."""
        string, span = self.layout.strings[place], self.layout.span(place)
        columns: dict[str, Any] = dict(told.units.of(span).columns())
        return StringEstimate.model_construct(  # every value is ours: checking 240 units costs more than estimating
            v=1,
            string=string,
            measured_at=from_ms(round(float(told.at_s[place]) * 1000.0)),
            doubts=list(told.doubts[place]),
            not_validated=self.not_validated.get(string, []),
            runtime=self._estimates[place].runtime,
            **columns,
        )


def runtime_estimate(runtime: Runtime, place: int, string: str) -> RuntimeEstimate:
    """Return the runtime of a string as the wire has it."""
    return RuntimeEstimate.model_construct(  # every value is ours
        power_w=_known(runtime.power_w[place], 1),
        unit_left_s=_known(runtime.unit_left_s[place], 0),
        unit_left_sd_s=_known(runtime.unit_left_sd_s[place], 0),
        cell=int(runtime.cell[place]) or None,
        bus_left_s=_known(runtime.bus_left_s[place], 0),
        bus_left_sd_s=_known(runtime.bus_left_sd_s[place], 0),
        sentence=runtime_sentence(string, runtime, place)[:MAX_SENTENCE],
    )


def _known(value: float, decimals: int) -> float | None:
    return round(float(value), decimals) if value < NEVER_S else None


def mode_payload(string: str, said: ModeSaid, now_ms: int) -> StringMode:
    """Return a mode as the wire has it; one that is unknown because nothing is heard is as of now."""
    measured_ms = now_ms if said.mode == "unknown" else round(said.at_s * 1000.0)
    since_ms = measured_ms if isnan(said.since_s) else round(said.since_s * 1000.0)
    return StringMode(
        string=string, mode=said.mode, since=from_ms(since_ms), measured_at=from_ms(measured_ms), why=said.why
    )


def _moved(last: UnitEstimates, now: UnitEstimates) -> bool:
    """Whether a unit left its dead band, or changed its source or state."""
    if any((getattr(last, name) != getattr(now, name)).any() for name in WORDS):
        return True
    for name, band in BANDS.items():
        before, after = getattr(last, name), getattr(now, name)
        with np.errstate(invalid="ignore"):
            near = np.abs(after - before) <= band
        if not (near | (np.isnan(before) & np.isnan(after))).all():
            return True
    return False


def _runtime_moved(last: RuntimeEstimate, now: RuntimeEstimate) -> bool:
    if last.cell != now.cell:
        return True
    pairs = ((last.unit_left_s, now.unit_left_s), (last.bus_left_s, now.bus_left_s))
    return any(_time_moved(before, after) for before, after in pairs)


def _time_moved(before_s: float | None, after_s: float | None) -> bool:
    if before_s is None or after_s is None:
        return before_s is not after_s
    return abs(after_s - before_s) > max(RUNTIME_S, RUNTIME_FRAC * before_s)
