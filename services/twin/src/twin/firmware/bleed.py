"""The bleed of a module: set-points, the 59 s hold on the module's own clock, and the checks it makes by itself."""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twin.bus.devices import LineReading
from twin.firmware.module_state import NEVER, Mask, ModuleState, Moment, Octets, Rows

HOLD_S: Final = 59.0
FULL_DUTY: Final = 200
LEAVE: Final = 255


class BleedByte(IntEnum):
    """Values of the bleed byte that are no duty, section 5.3."""

    NOT_CONNECTED = 248
    HOLD_EXPIRED = 249
    TEMPERATURE = 250
    BELOW_FLOOR = 251
    TESTING = 252
    NO_CIRCUIT = 254


def duties_are_valid(duties: Octets) -> bool:
    """Whether a BLEED_SET may be obeyed: one forbidden value spoils the whole frame."""
    return bool(np.all((duties <= FULL_DUTY) | (duties == LEAVE)))


def set_duty(state: ModuleState, rows: Rows, duties: Octets, reading: LineReading, now: Moment) -> None:
    """Obey a set-point: `duties` (n,) for `rows` (n,), 255 leaves a module as it is."""
    chosen = (duties != LEAVE) & state.rated.bleeds[rows]
    rows, duties = rows[chosen], duties[chosen]
    state.duty[rows] = duties
    state.bleed_code[rows] = 0
    state.hold_until_event_s[rows] = hold_end_s(state, rows, now)
    _refuse(state, failed_checks(state, reading))
    state.touch()


def renew(state: ModuleState, ears: Mask, now: Moment) -> None:
    """Obey RENEW_HOLD: restart the hold of those that bleed; it starts nothing."""
    rows = np.flatnonzero(ears & (state.duty > 0))
    state.hold_until_event_s[rows] = hold_end_s(state, rows, now)


def stop(state: ModuleState, mask: Mask) -> None:
    """Set the set-point of `mask` to zero, codes too."""
    state.duty[mask] = 0
    state.bleed_code[mask] = 0
    state.touch()


def supervise(state: ModuleState, reading: LineReading) -> None:
    """Make the checks that a bleeding module makes at least once a second."""
    if state.duty.any():
        _refuse(state, failed_checks(state, reading))


def expire(state: ModuleState, now: Moment) -> None:
    """End the bleeds whose hold has run out."""
    over = (state.duty > 0) & (state.hold_until_event_s <= now.event_s)
    if over.any():
        state.duty[over] = 0
        state.bleed_code[over] = BleedByte.HOLD_EXPIRED
        state.touch()


def next_expiry_s(state: ModuleState) -> float:
    """Return the event time at which the next hold ends; infinity when none runs."""
    running = state.hold_until_event_s[state.duty > 0]
    return float(running.min()) if len(running) else NEVER


def hold_end_s(state: ModuleState, rows: Rows, now: Moment) -> NDArray[np.float64]:
    """Return when a hold that starts now ends on the room's clock; a slow module's 59 s last longer."""
    return np.asarray(now.event_s + HOLD_S / (1.0 + state.clock_frac[rows]))


def failed_checks(state: ModuleState, reading: LineReading) -> Octets:
    """Return for every module the code of the check that it fails, 0 for none; shape (M,)."""
    codes = np.zeros(state.size, dtype=np.uint8)
    low = ~(reading.value / state.rated.unit >= state.bleed_floor)  # also when there is no voltage at all
    hot = state.degc_shorted | ~(reading.degc * 100.0 < state.bleed_hot)
    codes[low] = BleedByte.BELOW_FLOOR
    codes[hot] = BleedByte.TEMPERATURE
    codes[state.fuse_open | state.lead_off] = BleedByte.NOT_CONNECTED
    return codes


def bleed_byte(state: ModuleState, testing: list[int]) -> Octets:
    """Return the aux byte of every device, shape (M,); `testing` are the rows whose impedance test runs."""
    shown = np.where(state.bleed_code > 0, state.bleed_code, state.duty)
    if testing:
        shown[testing] = BleedByte.TESTING
    shown = np.where(state.rated.bleeds, shown, np.uint8(BleedByte.NO_CIRCUIT))
    return np.asarray(np.where(state.rated.is_unit, shown, state.rated.own_aux), dtype=np.uint8)


def _refuse(state: ModuleState, codes: Octets) -> None:
    failed = (state.duty > 0) & (codes > 0)
    if failed.any():
        state.duty[failed] = 0
        state.bleed_code[failed] = codes[failed]
        state.touch()
