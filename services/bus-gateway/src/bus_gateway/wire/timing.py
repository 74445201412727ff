"""Times of one line, all from docs/bus-protocol.md, sections 1, 3 and 11."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from bus_gateway.wire.frame import FAST_BYTES, OVERHEAD_BYTES

BITS_PER_CHARACTER: Final = 10
SHORTEST_GAP_S: Final = 10e-6
WHO_REPLY_BYTES: Final = 18
QUICK_S: Final = 0.005
FLASH_S: Final = 0.050


@dataclass(frozen=True)
class LineTiming:
    """What a baud rate and a host's own slack make of the protocol's times.

    Attributes:
        baud: of the line.
        slack_s: latency of the host's adapter, not time on the wire (`h` in section 3).
    """

    baud: int
    slack_s: float

    @cached_property
    def character_s(self) -> float:
        """Duration of one character."""
        return BITS_PER_CHARACTER / self.baud

    @cached_property
    def gap_s(self) -> float:
        """Smallest pause between two transmitters."""
        return max(self.character_s, SHORTEST_GAP_S)

    def frame_s(self, size: int) -> float:
        """Duration of `size` characters."""
        return size * self.character_s

    def slot_s(self, reply_bytes: int) -> float:
        """Length of one slot with its pause."""
        return reply_bytes * self.character_s + 1.1 * self.gap_s

    def slots_end_s(self, slots: int, reply_bytes: int = FAST_BYTES) -> float:
        """Time from the end of a request to the end of its last slot, without the host's slack."""
        return slots * self.slot_s(reply_bytes) + 6.0 * self.character_s

    def reply_timeout_s(self, longest_payload: int, *, flash: bool) -> float:
        """Time to wait for a quick or a flash reply, from the end of the request."""
        begin_s = FLASH_S if flash else QUICK_S
        return begin_s + self.frame_s(OVERHEAD_BYTES + longest_payload) + self.slack_s
