"""What modules transmit on a line becomes bytes for the master with their times, and is entered in the line's book."""

import random
from typing import Final

from twin.bus.bus_clock import BusClock
from twin.bus.wire_codec import FAST_LENGTH, Bytes2d
from twin.bus.wire_faults import Disturbance, Transmission, on_one_wire
from twin.firmware.module_state import Rows

LONGEST_CHUNK_S: Final = 0.040  # a long train reaches the master in portions, as from a real driver's buffer

type Emission = tuple[float, bytes]
"""Bytes, and when the last of them has left the wire."""


class Transmitter:
    """All modules of a line as one that sends.

    Args:
        clock: book of the line's wire time.
        disturbance: faults of the wire.
        rng: decides what is left of bytes that collide.

    Attributes:
        talking_until_s: when the last byte leaves the wire.
    """

    def __init__(self, clock: BusClock, disturbance: Disturbance, rng: random.Random) -> None:
        self.talking_until_s = float("-inf")
        self._clock: Final = clock
        self._disturbance: Final = disturbance
        self._rng: Final = rng

    def back_to_back(self, data: bytes, asked_s: float) -> list[Emission]:
        """Return replies that fill their slots from the first on without an empty one."""
        slot_s, count = self._clock.timing.slot_s(), len(data) // FAST_LENGTH
        per_chunk = max(1, int(LONGEST_CHUNK_S / slot_s))
        emitted = [
            (asked_s + min(at + per_chunk, count) * slot_s, data[at * FAST_LENGTH : (at + per_chunk) * FAST_LENGTH])
            for at in range(0, count, per_chunk)
        ]
        self._booked(len(data), emitted[-1][0])
        self._clock.train_answered(count)
        return emitted

    def in_slots(self, slots: Rows, frames: Bytes2d, asked_s: float) -> list[Emission]:
        """Return replies in the given slots, some of which may be empty."""
        if not len(slots):
            return []
        ends_s = asked_s + (slots + 1) * self._clock.timing.slot_s()
        per_chunk = max(1, int(LONGEST_CHUNK_S / self._clock.timing.slot_s()))
        self._booked(frames.size, float(ends_s[-1]))
        self._clock.train_answered(len(slots))
        return [
            (float(ends_s[at : at + per_chunk][-1]), frames[at : at + per_chunk].tobytes())
            for at in range(0, len(slots), per_chunk)
        ]

    def babble(self, asked_s: float, until_s: float) -> list[Transmission]:
        """Return what modules send unasked between two times."""
        return self._disturbance.bursts(until_s, self._clock.timing, since_s=asked_s)

    def send(self, sent: list[Transmission], now_s: float) -> list[Emission]:
        """Return what the master sees of transmissions that begin after `now_s`, and book them."""
        char_s = self._clock.timing.char_s
        seen = on_one_wire(sent, char_s, self._rng)
        emitted: list[Emission] = []
        for one in seen:
            end_s = one.end_s(char_s)
            self._booked(len(one.data), end_s)
            data = self._disturbance.noisy(one.data)
            if emitted and end_s - now_s < LONGEST_CHUNK_S:
                data = emitted.pop()[1] + data
            else:
                now_s = end_s - len(one.data) * char_s
            emitted.append((end_s, data))
        return emitted

    def _booked(self, characters: int, end_s: float) -> None:
        self._clock.replied(characters, end_s)
        self.talking_until_s = max(self.talking_until_s, end_s)
