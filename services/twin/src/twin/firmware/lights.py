"""LEDs and status bits of a module, sections 5.3 and 7."""

from enum import IntEnum
from typing import Final

import numpy as np

from twin.firmware.module_state import AUTOMATIC_LED, Mask, ModuleState, Moment, Octets

LONGEST_IDENTIFY_S: Final = 600
LEAVE_LED: Final = 0xFF


class Status(IntEnum):
    """Bits of the status byte."""

    RED = 1
    GREEN = 2
    FUSE_OPEN = 4
    DISCONNECTED = 8
    WAS_RESET = 16
    IDENTIFY = 32
    BELOW = 64
    ABOVE = 128


PATTERN_LEDS: Final = np.array([Status.RED | Status.GREEN, Status.RED, Status.GREEN], dtype=np.uint8)


def leds_are_valid(leds: Octets) -> bool:
    """Whether a LED_SET may be obeyed: a flash bit needs its LED, other values spoil the whole frame."""
    plain = (leds < 16) & ~((leds & 4 != 0) & (leds & 1 == 0)) & ~((leds & 8 != 0) & (leds & 2 == 0))
    return bool(np.all(plain | (leds == AUTOMATIC_LED) | (leds == LEAVE_LED)))


def leds_on(state: ModuleState, now: Moment) -> Octets:
    """Return the LED bits, flashing counted as on: identify, then unaddressed, then LED_SET, then automatic.

    Automatic green is on: whoever asks has just been heard.
    """
    own = np.where(state.led == AUTOMATIC_LED, Status.GREEN, state.led & 3)
    own = np.where(state.addressed, own, Status.RED)
    return np.where(identifying(state, now), PATTERN_LEDS[state.identify_pattern], own).astype(np.uint8)


def identifying(state: ModuleState, now: Moment) -> Mask:
    """Who identifies now."""
    return np.asarray(state.identify_until_event_s > now.event_s)


def status_byte(state: ModuleState, now: Moment) -> Octets:
    """Return the status byte (M,) but for its range bits, which belong to the sample asked for."""
    status = leds_on(state, now)
    status[state.fuse_open] |= np.uint8(Status.FUSE_OPEN)
    status[state.lead_off] |= np.uint8(Status.DISCONNECTED)
    status[state.was_reset] |= np.uint8(Status.WAS_RESET)
    status[identifying(state, now)] |= np.uint8(Status.IDENTIFY)
    return status


def range_bits(state: ModuleState, sampled: Mask) -> Octets:
    """Return the range bits (M,) of the results, where `sampled` says that the sample asked for is there."""
    below = (sampled & state.result.below).view(np.uint8) * np.uint8(Status.BELOW)
    above = (sampled & state.result.above).view(np.uint8) * np.uint8(Status.ABOVE)
    return np.asarray(below | above, dtype=np.uint8)
