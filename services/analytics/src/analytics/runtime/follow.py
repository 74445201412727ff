"""Follow the runtime of all strings from scan to scan.

A string on load is judged anew after 2 % of the time that is left (5 s at least, 60 s at most; event time), every
minute without, at once when a load begins or steps; in between the time that is left counts down. On load the units'
own losses are learned from their voltages, but not in the first 60 s or 5 % of the time (coup de fouet: lead dips when
a load comes, and recovers). Only the prediction waits so; whoever raises alarms does not.
"""

from collections.abc import Sequence
from dataclasses import field, fields, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from analytics.believed import Believed
from analytics.checked_frozen import checked_frozen
from analytics.modes import Mode
from analytics.readings import Flags, Floats, Places, Readings
from analytics.runtime.believed import units_of
from analytics.runtime.learning import Learned, has_ended, learn
from analytics.runtime.loads import Loads, chosen_load, measured_w, shared_w, smoothed_w
from analytics.runtime.outlook import Outlook, look_ahead, stand
from analytics.runtime.rules import LOADED_EVERY_FRAC, RuntimeRules
from analytics.runtime.wiring import held_together, with_wiring_seen

LOADED: Final = ("discharge", "test")
CLOCK_BACK_S: Final = 300.0  # contract: a clock that is set back farther begins a new stream
STALE_LOAD_S: Final = 60.0
OTHER_LOAD_FRAC: Final = 0.05
DIP_S: Final = 60.0
DIP_FRAC: Final = 0.05


@checked_frozen
class RuntimeMemory:
    """What the next prediction goes on from; (S,) unless said otherwise, NaN for never or unknown.

    Attributes:
        at_s: newest scan.
        began_s: when the load came that is on now; NaN without one.
        load_w, load_at_s: last measured load, and when.
        expected_s: whole time that was predicted when the load came.
        told_s, told_w: when the string was judged last, and for which load.
        unit_s, unit_sd_s, string_s, string_sd_s: what was left then.
        cell: weakest unit then, 1-based; 0 while unknown.
        learned: (N,) what the discharge that is on, or the last one, has shown of the units.
        before_degc: (N,) temperature of the units, held while a load is on: a table has the warming of its own
            discharge in it already.
        held: sum of the units over the volts at the UPS, without current.
    """

    at_s: Floats
    began_s: Floats
    load_w: Floats
    load_at_s: Floats
    expected_s: Floats
    told_s: Floats
    told_w: Floats
    unit_s: Floats
    unit_sd_s: Floats
    string_s: Floats
    string_sd_s: Floats
    cell: Places
    learned: Learned
    before_degc: Floats
    held: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def empty(cls, rules: RuntimeRules) -> Self:
        """Return the memory of strings that were never seen."""
        strings = len(rules.layout.strings)
        plain = {name: np.full(strings, np.nan) for name in _PER_STRING}
        units = rules.layout.units
        return cls(
            **plain,
            cell=np.zeros(strings, dtype=np.intp),
            learned=Learned.nothing(units),
            before_degc=np.full(units, np.nan),
        )


_OTHERS: Final = ("cell", "learned", "before_degc")
_PER_STRING: Final = tuple(field.name for field in fields(RuntimeMemory) if field.name not in _OTHERS)


@checked_frozen
class Runtime:
    """How long strings last; (S,), NaN while unknown.

    Attributes:
        unit_left_s, unit_left_sd_s: until the weakest unit is at its limit.
        cell: that unit, 1-based; 0 while unknown.
        bus_left_s, bus_left_sd_s: until the string's dc bus is at the UPS cut-off.
        power_w: load of the string that this holds for.
        load: `LoadFrom`.
    """

    unit_left_s: Floats
    unit_left_sd_s: Floats
    cell: Places
    bus_left_s: Floats
    bus_left_sd_s: Floats
    power_w: Floats
    load: NDArray[np.uint8]


def follow_runtime(
    memory: RuntimeMemory, readings: Readings, modes: Sequence[Mode], believed: Believed, rules: RuntimeRules
) -> tuple[RuntimeMemory, Runtime]:
    """Return what to remember and how long each string lasts.

    Args:
        memory: from the scan before.
        readings: newest scans; a string whose scan is not newer than its last one keeps what it had.
        modes: of all strings, in the layout's order.
        believed: charge and health of all units.
        rules: of all strings.
    """
    with np.errstate(invalid="ignore"):
        fresh = (readings.at_s > memory.at_s) | (np.isnan(memory.at_s) & ~np.isnan(readings.at_s))
        stepped_back = readings.at_s < memory.at_s - CLOCK_BACK_S
    memory = _forget(memory, stepped_back)
    fresh |= stepped_back
    was_loaded = ~np.isnan(memory.began_s)
    is_loaded = np.array([mode in LOADED for mode in modes])
    is_loaded |= was_loaded & np.array([mode == "unknown" for mode in modes])  # nobody has seen the load go
    is_loaded &= fresh
    is_open = np.array([mode == "open" for mode in modes])
    memory = _with_load(memory, readings, fresh, is_loaded, rules)
    loads = _loads(memory, believed, is_open, rules)
    due = _due(memory, loads, fresh, was_loaded != is_loaded, rules) & ~is_open
    if due.any():
        memory = _judge(memory, np.flatnonzero(due), readings, (believed, loads), rules)
    return memory, _told(memory, loads, is_open, rules)


def dip_s(expected_s: float) -> float:
    """Return for how long after a load's coming its voltage says nothing about the rest of an expected time."""
    return min(DIP_S, DIP_FRAC * expected_s)


def _forget(memory: RuntimeMemory, stepped_back: Flags) -> RuntimeMemory:
    """Return the memory without the times that a clock set back has made meaningless."""
    if not stepped_back.any():
        return memory
    began_s, load_at_s, told_s = (
        np.where(stepped_back, np.nan, each) for each in (memory.began_s, memory.load_at_s, memory.told_s)
    )
    return replace(memory, began_s=began_s, load_at_s=load_at_s, told_s=told_s)


def _with_load(
    memory: RuntimeMemory, readings: Readings, fresh: Flags, is_loaded: Flags, rules: RuntimeRules
) -> RuntimeMemory:
    """Return the memory with this scan's time and load."""
    if not (is_loaded | ~np.isnan(memory.began_s)).any():
        return replace(memory, at_s=np.where(fresh, readings.at_s, memory.at_s))
    now_w = np.full(len(is_loaded), np.nan)
    if is_loaded.any():
        now_w = np.where(is_loaded, measured_w(readings, rules), np.nan)
    is_new = is_loaded & np.isnan(memory.began_s)
    before_w = np.where(is_new, np.nan, memory.load_w)
    smooth_w = smoothed_w(before_w, now_w, readings.at_s - memory.load_at_s)
    seen = ~np.isnan(now_w)
    began_s = np.where(is_new, readings.at_s, memory.began_s)
    return replace(
        memory,
        at_s=np.where(fresh, readings.at_s, memory.at_s),
        began_s=np.where(fresh & ~is_loaded, np.nan, began_s),
        load_w=np.where(seen, smooth_w, memory.load_w),
        load_at_s=np.where(seen, readings.at_s, memory.load_at_s),
        expected_s=np.where(is_new, np.nan, memory.expected_s),
        learned=_forgotten(memory.learned, is_new, rules),
    )


def _forgotten(known: Learned, is_new: Flags, rules: RuntimeRules) -> Learned:
    """Return what is known without that of strings whose discharge begins."""
    if not is_new.any():
        return known
    places = np.flatnonzero(is_new[rules.layout.string_of])
    return known.put(places, Learned.nothing(len(places)))


def _before(memory: RuntimeMemory, string: Places, readings: Readings, rules: RuntimeRules) -> Floats:
    """Return the temperatures (N,) before the load, of these strings the newest where none is on or none was known."""
    is_judged = np.zeros(len(rules.layout.strings), dtype=np.bool_)
    is_judged[string] = True
    string_of = rules.layout.string_of
    newer = np.isnan(memory.began_s)[string_of] | np.isnan(memory.before_degc)
    newer &= is_judged[string_of] & ~np.isnan(readings.degc)
    return np.where(newer, readings.degc, memory.before_degc)


def _loads(memory: RuntimeMemory, believed: Believed, is_open: Flags, rules: RuntimeRules) -> Loads:
    with np.errstate(invalid="ignore"):
        now = ~np.isnan(memory.began_s) & (memory.load_at_s >= memory.began_s)
        now &= memory.at_s - memory.load_at_s <= STALE_LOAD_S
    configured = rules.nominal_w
    if not now.all() and not np.isnan(configured).all():
        first = rules.layout.first
        health = np.where(believed.soh_frac > 0.0, believed.soh_frac, 1.0)
        configured = shared_w(rules, np.add.reduceat(health, first[:-1]) / np.diff(first), is_open)
    return chosen_load(now, memory.load_w, configured, memory.load_w)


def _due(memory: RuntimeMemory, loads: Loads, fresh: Flags, turned: Flags, rules: RuntimeRules) -> Flags:
    is_loaded = ~np.isnan(memory.began_s)
    least_s, most_s = rules.loaded_every_s
    soon_s = np.fmin(np.fmax(LOADED_EVERY_FRAC * memory.string_s, least_s), most_s)  # NaN becomes the least
    every_s = np.where(is_loaded, soon_s, rules.idle_every_s)
    with np.errstate(invalid="ignore"):
        early = memory.at_s - memory.told_s < every_s
        same = np.abs(loads.w - memory.told_w) <= OTHER_LOAD_FRAC * memory.told_w
    same |= np.isnan(loads.w) & np.isnan(memory.told_w)
    return fresh & ~(early & same & ~turned)


def _judge(
    memory: RuntimeMemory, string: Places, readings: Readings, at: tuple[Believed, Loads], rules: RuntimeRules
) -> RuntimeMemory:
    """Return the memory with these strings judged anew."""
    believed, loads = at
    is_loaded = ~np.isnan(memory.began_s[string])
    held = held_together(memory.held, string[~is_loaded], readings, rules)
    memory = replace(memory, before_degc=_before(memory, string, readings, rules), held=held)
    units = units_of(string, memory.before_degc, readings.ambient_degc, believed, rules)
    power_w = loads.w[string]
    loaded_s = np.nan_to_num(memory.at_s[string] - memory.began_s[string], nan=0.0)
    dips = loaded_s < np.fmin(DIP_S, DIP_FRAC * memory.expected_s[string])
    known = memory.learned.at(units.at)
    standing = stand(units, power_w, (known.excess, known.charge, known.warmer_k), rules)
    watched = is_loaded & ~dips
    if watched.any():
        passed_s = memory.at_s[string] - memory.told_s[string]
        known = learn(units, standing, readings, (watched, loaded_s, passed_s), known, rules)
        standing = stand(units, power_w, (known.excess, known.charge, known.warmer_k), rules)
        memory = replace(memory, learned=memory.learned.put(units.at, known))
    wired = with_wiring_seen(rules, string[is_loaded], readings, memory.held)
    ahead = look_ahead(units, standing, (power_w, loaded_s), memory.string_s[string], wired)
    ahead = has_ended(ahead, units, readings, watched, rules)
    return _remembered(memory, string, ahead, (power_w, loaded_s))


def _remembered(memory: RuntimeMemory, string: Places, ahead: Outlook, load: tuple[Floats, Floats]) -> RuntimeMemory:
    power_w, loaded_s = load

    def put[A: NDArray[np.generic]](values: A, new: NDArray[np.generic]) -> A:
        changed = values.copy()
        changed[string] = new
        return changed

    expected_s = memory.expected_s[string]
    whole_s = np.where(np.isnan(expected_s), loaded_s + ahead.string_s, expected_s)
    return replace(
        memory,
        expected_s=put(memory.expected_s, whole_s),
        told_s=put(memory.told_s, memory.at_s[string]),
        told_w=put(memory.told_w, power_w),
        unit_s=put(memory.unit_s, ahead.unit_s),
        unit_sd_s=put(memory.unit_sd_s, ahead.unit_sd_s),
        string_s=put(memory.string_s, ahead.string_s),
        string_sd_s=put(memory.string_sd_s, ahead.string_sd_s),
        cell=put(memory.cell, ahead.cell).astype(np.intp),
    )


def _told(memory: RuntimeMemory, loads: Loads, is_open: Flags, rules: RuntimeRules) -> Runtime:
    """Return what is left now: of each string's weakest unit, and of the dc bus that its strings share.

    A string that weakens hands its load to its neighbours, so what the strings of a bus can still give is added up.
    """
    passed_s = np.where(np.isnan(memory.began_s), 0.0, memory.at_s - memory.told_s)
    unknown = np.where(is_open, np.nan, 0.0)
    unit_s = np.maximum(memory.unit_s - passed_s, 0.0) + unknown
    string_s = np.maximum(memory.string_s - passed_s, 0.0) + unknown
    is_loaded = ~np.isnan(memory.began_s)
    on_battery = np.bincount(rules.bus, is_loaded)[rules.bus] > 0
    carries = ~is_open & ~np.isnan(loads.w) & (is_loaded | ~on_battery)
    weight = np.where(carries, loads.w, 0.0)
    total = np.bincount(rules.bus, weight)[rules.bus]

    def over_bus(per_string: Floats) -> Floats:
        given = np.where(carries, weight * per_string, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.bincount(rules.bus, given)[rules.bus] / total + unknown)

    return Runtime(
        unit_left_s=unit_s,
        unit_left_sd_s=memory.unit_sd_s + unknown,
        cell=np.where(np.isnan(unit_s), 0, memory.cell),
        bus_left_s=over_bus(string_s),
        bus_left_sd_s=over_bus(memory.string_sd_s),
        power_w=loads.w,
        load=loads.source,
    )
