"""The impedance trend of all units: which sweeps count, and what they show. Cheap while there is no sweep."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Final, Self

import numpy as np

from analytics.impedance.rules import DAY_S, ImpedanceRules
from analytics.impedance.sweep import Sweep
from analytics.impedance.track import STATES, Track, renewed, with_sweep
from analytics.mode import ModeSaid
from analytics.modes import Mode
from analytics.readings import Codes, Flags, Floats, Layout

SETTLED_S: Final = DAY_S  # after discharge or boost
MOST_RIPPLE_PER_AH: Final = 0.05  # A rms; what makers allow at float, and a pulse measurement still stands
MOST_TRACKS: Final = 4  # methods of one string that are remembered
OUTDATED_S: Final = 365.25 * DAY_S
UNSEEN_S: Final = 900.0  # what nobody saw for longer may have been a discharge

_CALM: Final = frozenset[Mode]({"float", "test", "unknown"})  # unknown: whoever measured had no mode; ours decides


@dataclass(frozen=True, slots=True)
class ImpedanceMemory:
    """What the trends depend on.

    Attributes:
        tracks: of every string and method, in no order.
        disturbed_s: (S,) event time at which each string was last not at float; NaN before its first scan.
    """

    tracks: tuple[Track, ...]
    disturbed_s: Floats

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """Return the memory of strings without any sweep."""
        return cls((), np.full(len(layout.strings), np.nan))


@dataclass(frozen=True, slots=True)
class ImpedanceEstimate:
    """What impedances show of every unit, (N,); NaN where there is nothing. Never a capacity.

    Attributes:
        ohm: at 25 °C, by the method that was used last.
        own_frac: over the unit's own baseline.
        peers_frac: over the median of its string.
        rate_per_year: growth over the last year.
        state: codes of `track.STATES`: the worst of all methods of the last year.
        is_provisional: the baseline is not from the time after forming yet.
        at_s: event time of the newest sweep of its string.
    """

    ohm: Floats
    own_frac: Floats
    peers_frac: Floats
    rate_per_year: Floats
    state: Codes
    is_provisional: Flags
    at_s: Floats


@dataclass(frozen=True, slots=True)
class Refused:
    """A sweep that did not enter any trend, and why."""

    string: str
    at_s: float
    why: str


def state_names(state: Codes) -> list[str]:
    """Return the name of each code, as on the wire."""
    return [STATES[code] for code in state.tolist()]


def follow_impedance(
    memory: ImpedanceMemory,
    sweeps: Sequence[Sweep],
    modes: Sequence[ModeSaid],
    ripple_a_rms: Floats,
    rules: ImpedanceRules,
) -> tuple[ImpedanceMemory, tuple[Refused, ...]]:
    """Return the memory after a batch of scans and the sweeps that came with it, and which of them were refused.

    Args:
        memory: of the batch before.
        sweeps: usually none.
        modes: (S) of this batch.
        ripple_a_rms: (S,) of the string currents now; NaN where nobody measures it.
        rules: of the strings.
    """
    memory = replace(memory, disturbed_s=_disturbed_s(memory.disturbed_s, modes))
    refused: list[Refused] = []
    for sweep in sweeps:
        why = _why_not(sweep, memory, ripple_a_rms, rules)
        if why:
            refused.append(Refused(sweep.string, sweep.at_s, why))
        else:
            memory = replace(memory, tracks=_entered(memory.tracks, sweep, rules))
    return memory, tuple(refused)


def impedance_estimate(memory: ImpedanceMemory, rules: ImpedanceRules) -> ImpedanceEstimate:
    """Return what the trends show; to be asked after a sweep or a change of `rules`, it does not change otherwise."""
    n = rules.layout.units
    ohm, own, peers, rate, at_s = (np.full(n, np.nan) for _ in range(5))
    state, is_provisional = np.zeros(n, np.uint8), np.zeros(n, np.bool_)
    for track in sorted(memory.tracks, key=lambda each: each.at_s):
        if track.string not in rules.layout.strings:
            continue
        span = rules.layout.span(rules.layout.strings.index(track.string))
        now = renewed(track, rules.fitted[span])
        is_known = now.state > 0
        if newest_s(memory, track.string) - track.at_s <= OUTDATED_S:
            state[span] = np.maximum(state[span], now.state)
        for column, value in (
            (ohm, now.ohm), (own, now.own_frac), (peers, now.peers_frac(rules.terminals[span])),
            (rate, now.rate_per_year), (at_s, np.full(len(now.state), now.at_s)),
        ):  # fmt: skip
            column[span] = np.where(is_known, value, column[span])
        is_provisional[span] = np.where(is_known, ~now.is_final, is_provisional[span])
    return ImpedanceEstimate(ohm, own, peers, rate, state, is_provisional, at_s)


def newest_s(memory: ImpedanceMemory, string: str) -> float:
    """Return the event time of the newest sweep of a string by any method; minus infinity without one."""
    return max((each.at_s for each in memory.tracks if each.string == string), default=float("-inf"))


def _disturbed_s(before_s: Floats, modes: Sequence[ModeSaid]) -> Floats:
    after = before_s.tolist()
    for place, mode in enumerate(modes):
        if not isnan(mode.at_s) and (isnan(after[place]) or _disturbs(mode)):
            after[place] = mode.at_s
    return np.array(after)


def _disturbs(mode: ModeSaid) -> bool:
    """Whether impedances are other ones after it for a day; a test of impedances alone disturbs nothing."""
    if mode.mode == "unknown":
        return mode.at_s - mode.since_s > UNSEEN_S or mode.is_discharging
    return mode.mode != "float" and (mode.mode != "test" or mode.is_discharging)


def _why_not(sweep: Sweep, memory: ImpedanceMemory, ripple_a_rms: Floats, rules: ImpedanceRules) -> str:
    """Return why a sweep may not enter a trend; empty when it may."""
    layout = rules.layout
    if sweep.string not in layout.strings:
        return "its string is not known"
    place = layout.strings.index(sweep.string)
    units = int(layout.first[place + 1] - layout.first[place])
    ripple_a, most_a = float(ripple_a_rms[place]), MOST_RIPPLE_PER_AH * rules.strings[place].rated_ah
    newest_s = max((each.at_s for each in memory.tracks if _is_of(each, sweep)), default=float("-inf"))
    is_settled = sweep.at_s - float(memory.disturbed_s[place]) >= SETTLED_S  # False while nothing is known
    checks = (
        (len(sweep.place) == 0 or not 0 <= sweep.place.min() <= sweep.place.max() < units, "it names other units"),
        (sweep.mode not in _CALM, f"the string was not at float but in mode {sweep.mode}"),
        (not is_settled, "the string is not known to have been at float for 24 h"),
        (ripple_a > most_a, f"ripple of {ripple_a:.1f} A, more than {most_a:.1f} A"),
        (not sweep.at_s > newest_s, "it is not newer than the last one"),
    )
    return next((why for holds, why in checks if holds), "")


def _is_of(track: Track, sweep: Sweep) -> bool:
    return track.string == sweep.string and track.method == sweep.method


def _entered(tracks: tuple[Track, ...], sweep: Sweep, rules: ImpedanceRules) -> tuple[Track, ...]:
    place = rules.layout.strings.index(sweep.string)
    span, own_rules = rules.layout.span(place), rules.strings[place]
    fitted = rules.fitted[span]
    found = [each for each in tracks if _is_of(each, sweep)]
    track = renewed(found[0], fitted) if found else Track.empty(sweep.string, sweep.method, fitted)
    ohm = sweep.at_25_ohm(own_rules.beta_per_k)
    entered = with_sweep(track, sweep.at_s, sweep.place, ohm, rules.terminals[span], own_rules)
    others = [each for each in tracks if each.string == sweep.string and each.method != sweep.method]
    others = sorted(others, key=lambda each: each.at_s)[-(MOST_TRACKS - 1) :]
    return (*(each for each in tracks if each.string != sweep.string), *others, entered)
