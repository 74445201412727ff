"""Wire time: how long characters, pauses and slots last, and what of a line's time is used.

Sections 1, 3 and 11 of `docs/bus-protocol.md`. All times are seconds of the line's own clock.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from twin.bus.wire_codec import FAST_LENGTH

BITS_PER_CHARACTER: Final = 10
SHORTEST_GAP_S: Final = 10e-6
NET_BITS: Final = 36  # value and temperature of one fast reply: 20 + 16
LATEST_START_CHARACTERS: Final = 6
SWEEPS_KEPT: Final = 64  # a minute at one sweep a second


@dataclass(frozen=True, slots=True)
class WireTiming:
    """What a baud rate makes of characters and pauses."""

    baud: int

    @property
    def char_s(self) -> float:
        """One character, `c`."""
        return BITS_PER_CHARACTER / self.baud

    @property
    def gap_s(self) -> float:
        """Shortest silence between two transmitters, `g`."""
        return max(self.char_s, SHORTEST_GAP_S)

    @property
    def slot_pause_s(self) -> float:
        """Pause before a slot, `p`."""
        return 1.1 * self.gap_s

    def slot_s(self, characters: int = FAST_LENGTH) -> float:
        """One slot for a reply of `characters`, `s`."""
        return characters * self.char_s + self.slot_pause_s

    @property
    def silence_s(self) -> float:
        """Silence after which a receiver stops waiting for the rest of a frame."""
        return max(20 * self.char_s, 0.002)

    def sweep_s(self, modules: int, per_train: int = 64) -> float:
        """Return the time of a sweep without waste: first request byte to last reply byte, section 11."""
        trains = -(-modules // per_train)
        characters = (trains + modules) * FAST_LENGTH
        return characters * self.char_s + modules * self.slot_pause_s + (trains - 1) * self.gap_s


@dataclass(frozen=True, slots=True)
class SweepFigures:
    """One sweep as it ran on the wire, first request byte to last reply byte.

    `used_s` is the time in which a character was on the line, `net_bits` those of values and temperatures.
    """

    sample_id: int
    duration_s: float
    used_s: float
    net_bits: int
    trains: int
    replies: int
    baud: int

    @property
    def utilisation_frac(self) -> float:
        """Used part of the line's time."""
        return self.used_s / self.duration_s if self.duration_s > 0.0 else 0.0

    @property
    def net_frac(self) -> float:
        """Part of the line's time that carried values and temperatures."""
        return self.net_bits / self.baud / self.duration_s if self.duration_s > 0.0 else 0.0

    @property
    def net_of_sent_frac(self) -> float:
        """Part of the bits sent that were values and temperatures."""
        return self.net_bits / self.baud / self.used_s if self.used_s > 0.0 else 0.0


@dataclass(slots=True)
class BusClock:
    """Book of one line's wire time.

    Attributes:
        free_s: end of the last transmission of anyone.
        used_s: time with a character on the line since the start.
        bytes_from_master, bytes_from_modules: characters in each direction since the start.
        collisions: requests that began while a module was transmitting.
    handed: sample id of the newest sweeps, and when, in ms since 1970, their last byte so far was handed to the master.
    """

    timing: WireTiming
    free_s: float = float("-inf")
    used_s: float = 0.0
    bytes_from_master: int = 0
    bytes_from_modules: int = 0
    collisions: int = 0
    handed: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=SWEEPS_KEPT))
    _sample_id: int | None = None
    _begun_s: float = 0.0
    _ended_s: float = 0.0
    _used_before_s: float = 0.0
    _used_by_end_s: float = 0.0
    _trains: int = 0
    _replies: int = 0

    def request(self, characters: int, end_s: float) -> None:
        """Book a transmission of the master that ended at `end_s`."""
        self.bytes_from_master += characters
        self.used_s += characters * self.timing.char_s
        self.free_s = max(self.free_s, end_s)

    def replied(self, characters: int, end_s: float) -> None:
        """Book transmissions of modules, the last of which ended at `end_s`."""
        self.bytes_from_modules += characters
        self.used_s += characters * self.timing.char_s
        self.free_s = max(self.free_s, end_s)

    def train_asked(self, sample_id: int, characters: int, end_s: float) -> None:
        """Book that the request which ended at `end_s` was a TRAIN or LIST; a new sample id begins a new sweep."""
        length_s = characters * self.timing.char_s
        if sample_id != self._sample_id:
            self._sample_id = sample_id
            self._begun_s, self._ended_s = end_s - length_s, end_s
            self._used_before_s = self._used_by_end_s = self.used_s - length_s
            self._trains = self._replies = 0
        self._trains += 1

    def train_answered(self, replies: int) -> None:
        """Book `replies` fast replies that were already booked as transmissions."""
        if replies:
            self._replies += replies
            self._ended_s = self.free_s
            self._used_by_end_s = self.used_s

    def handed_over(self, end_s: float, wall_ms: float) -> None:
        """Book that bytes which ended at `end_s` were really given to the master at `wall_ms`."""
        if self._sample_id is None or end_s != self._ended_s:
            return
        if self.handed and self.handed[-1][0] == self._sample_id:
            self.handed.pop()
        self.handed.append((self._sample_id, wall_ms))

    def sweep(self) -> SweepFigures | None:
        """Return the newest sweep so far; None before the first TRAIN."""
        if self._sample_id is None:
            return None
        return SweepFigures(
            sample_id=self._sample_id,
            duration_s=self._ended_s - self._begun_s,
            used_s=self._used_by_end_s - self._used_before_s,
            net_bits=NET_BITS * self._replies,
            trains=self._trains,
            replies=self._replies,
            baud=self.timing.baud,
        )
