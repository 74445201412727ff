"""What goes wrong on the wire itself: noise, flipped bits, two transmitters at once, a module that babbles."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from twin.bus.bus_clock import WireTiming

BURST_CHARACTERS: Final = 300  # hardware cuts a driver after 300 characters and 1 ms, section 1
BURST_EXTRA_S: Final = 0.001
SAME_CHARACTER: Final = 0.5  # two starts within half a character fall on the same grid


@dataclass(frozen=True, slots=True)
class Transmission:
    """Bytes that someone sends from `start_s` on, one character after the other."""

    start_s: float
    data: bytes

    def end_s(self, char_s: float) -> float:
        """Return the end of its last stop bit."""
        return self.start_s + len(self.data) * char_s


@dataclass(slots=True)
class Disturbance:
    """The faults of one line that act on bytes.

    Attributes:
        noise_frac: part of all bytes, in both directions, that is replaced by chance.
        flip_frac: by row, part of the replies of that module in which one bit is flipped.
        babbling: rows that transmit without being asked; `babble_frac` of the time.
    """

    rng: random.Random
    noise_frac: float = 0.0
    flip_frac: dict[int, float] = field(default_factory=dict)
    babbling: set[int] = field(default_factory=set)
    babble_frac: float = 0.5
    _burst_from_s: float = 0.0

    @property
    def quiet(self) -> bool:
        """Whether nothing disturbs the line."""
        return not (self.noise_frac or self.flip_frac or self.babbling)

    def on_request(self, data: bytes) -> bytes:
        """Return what the modules receive of the master's bytes."""
        if self.babbling and self.rng.random() < self.babble_frac:
            return self.rng.randbytes(len(data))
        return self.noisy(data)

    def on_reply(self, row: int, data: bytes) -> bytes:
        """Return what the driver of one module sends."""
        if self.rng.random() < self.flip_frac.get(row, 0.0):
            at, bit = divmod(self.rng.randrange(8 * len(data)), 8)
            data = data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]
        return data

    def noisy(self, data: bytes) -> bytes:
        """Return bytes with the line's noise."""
        if not self.noise_frac:
            return data
        hit = self.noise_frac
        return bytes(self.rng.randrange(256) if self.rng.random() < hit else byte for byte in data)

    def bursts(self, until_s: float, timing: WireTiming, *, since_s: float) -> list[Transmission]:
        """Return the bursts of babble that begin between `since_s` and `until_s`; none is given twice."""
        if not self.babbling:
            return []
        char_s = timing.char_s
        length_s = BURST_CHARACTERS * char_s + BURST_EXTRA_S
        period_s = length_s / self.babble_frac
        count = int(length_s / char_s)
        found = []
        at_s = max(self._burst_from_s, since_s)
        while at_s < until_s:
            found.append(Transmission(at_s, self.rng.randbytes(count)))
            at_s += period_s
        self._burst_from_s = at_s
        return found


def on_one_wire(sent: Sequence[Transmission], char_s: float, rng: random.Random) -> list[Transmission]:
    """Return what a receiver sees of transmissions that may overlap, in order of time.

    Where two drivers differ, chance decides each bit; where they agree, the byte passes.
    """
    seen: list[Transmission] = []
    for one in sorted(sent, key=lambda transmission: transmission.start_s):
        last = seen[-1] if seen else None
        if last is None or one.start_s > last.end_s(char_s) - SAME_CHARACTER * char_s:
            seen.append(one)
        else:
            seen[-1] = Transmission(last.start_s, _overlaid(last, one, char_s, rng))
    return seen


def _overlaid(first: Transmission, second: Transmission, char_s: float, rng: random.Random) -> bytes:
    shift = round((second.start_s - first.start_s) / char_s)
    joined = bytearray(first.data)
    joined += bytes(max(0, shift + len(second.data) - len(joined)))
    for at, byte in enumerate(second.data, shift):
        differing = joined[at] ^ byte if at < len(first.data) else 0
        joined[at] = byte ^ (differing & rng.randrange(256))
    return bytes(joined)
