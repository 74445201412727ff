"""The sample double buffer of a module: one finished result, one window that integrates (section 5.1)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from twin.bus.devices import LineReading
from twin.bus.wire_codec import HIGHEST_VALUE, LOWEST_VALUE, Counts, TemperatureCode, ValueCode
from twin.firmware.module_state import NEVER, Mask, ModuleState, Moment, Sample

WINDOW_UNIT_S: Final = 1.0 / 300.0
READY_AFTER_S: Final = 0.005
KEPT_S: Final = 60.0
LOWEST_TEMPERATURE: Final = -27_315
HIGHEST_TEMPERATURE: Final = 32_767


def start_window(state: ModuleState, ears: Mask, request: tuple[int, int], reading: LineReading, now: Moment) -> None:
    """Obey SAMPLE: a running window is discarded, a finished result too if it has the same id.

    Args:
        state: of the line.
        ears: who heard it, shape (M,).
        request: sample id, and window in 1/300 s.
        reading: the means over the window that begins now.
        now: end of the request.
    """
    sample_id, window = request
    length_s = window * WINDOW_UNIT_S / (1.0 + state.clock_frac) + READY_AFTER_S
    coming = measured(state, reading)
    if ears.all():
        state.coming = coming
    else:
        state.coming.take(coming, ears)
    state.coming_id[ears] = sample_id
    state.done_wire_s[ears] = (now.wire_s + length_s)[ears]
    state.done_event_s[ears] = (now.event_s + length_s)[ears]
    state.integrating |= ears
    state.held &= ~(ears & (state.held_id == sample_id))
    state.counters.started += ears
    state.touch_sample()


def finish(state: ModuleState, now: Moment) -> None:
    """Put complete windows in place of the older results, and drop results that are a minute old."""
    done = state.integrating & (state.done_wire_s <= now.wire_s)
    if done.any():
        if done.all():
            state.result, state.coming = state.coming, Sample.empty(state.size)
        else:
            state.result.take(state.coming, done)
        state.held_id[done] = state.coming_id[done]
        state.held_until_event_s[done] = state.done_event_s[done] + KEPT_S
        state.held |= done
        state.integrating &= ~done
        state.counters.finished += done
        state.touch_sample()
    old = state.held & (state.held_until_event_s <= now.event_s)
    if old.any():
        state.held &= ~old
        state.touch_sample()


def next_end_s(state: ModuleState) -> float:
    """Return the wire time at which the next window is complete; infinity when none integrates."""
    running = state.done_wire_s[state.integrating]
    return float(running.min()) if len(running) else NEVER


def next_drop_s(state: ModuleState) -> float:
    """Return the event time at which the next result is too old; infinity when none is held."""
    kept = state.held_until_event_s[state.held]
    return float(kept.min()) if len(kept) else NEVER


def measured(state: ModuleState, reading: LineReading) -> Sample:
    """Return what the converters make of a reading: counts, codes, and the range bits."""
    rated = state.rated
    reverse = rated.unipolar & (reading.value < 0.0)
    positive = np.where(reverse, 0.0, reading.value) if reverse.any() else reading.value
    value, too_low, too_high = _counts(positive, rated.unit, rated.resolution)
    if rated.has_aux:
        value = np.where(rated.is_aux, state.relays.field(), value)
    below = too_low | reverse | ((value < rated.rated_min) & (value >= LOWEST_VALUE))
    above = too_high | (value > rated.rated_max)
    ripple = value
    if rated.has_page1.any():
        ripple, _, _ = _counts(reading.ripple, rated.unit1, np.ones(state.size))
    off = state.fuse_open | state.lead_off
    if off.any():
        value = np.where(off, ValueCode.NOT_CONNECTED, value)
        below, above = below & ~off, above & ~off
    return Sample(value.astype(np.int32), ripple, _temperatures(state, reading), below, above, reading.absent)


def _counts(
    value: NDArray[np.float64], unit: NDArray[np.float64], resolution: NDArray[np.float64]
) -> tuple[Counts, Mask, Mask]:
    """Return counts or codes, and where the converter is at its lower and upper end."""
    with np.errstate(invalid="ignore"):
        steps = np.rint(value / (unit * resolution)) * resolution
        too_low, too_high = steps < LOWEST_VALUE, steps > HIGHEST_VALUE
    missing, ended = np.isnan(steps), too_low | too_high
    if not (missing.any() or ended.any()):
        return steps.astype(np.int32), too_low, too_high
    counts = np.where(missing | ended, 0.0, steps).astype(np.int32)
    counts[missing] = ValueCode.NOT_FITTED
    counts[ended] = ValueCode.SATURATED
    return counts, too_low, too_high


def _temperatures(state: ModuleState, reading: LineReading) -> NDArray[np.int16]:
    hundredths = np.rint(reading.degc * 100.0)
    known = np.isfinite(hundredths)
    bounded = np.clip(np.where(known, hundredths, 0.0), LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE)
    found = np.where(known, bounded.astype(np.int16), state.rated.no_degc)
    found[state.degc_shorted] = TemperatureCode.SHORTED
    return found
