"""Which slots of a train were silent and which damaged, from where the intact replies stand among the bytes. Pure."""

from collections.abc import Sequence

import numpy as np

from bus_gateway.wire.decode import Flags
from bus_gateway.wire.frame import FAST_BYTES


def damaged_slots(answered: Sequence[tuple[int, int]], slots: int, size: int, before: Flags) -> Flags:
    """Return the slots that may have sent a reply that did not arrive intact.

    A stream of bytes has no slot times. But slots answer in order, so bytes between two intact replies came from the
    slots between these two; where there are none, the slots between were silent. Where fewer bytes came than would fill
    the missing slots, what was known before decides, and without that all of them may have been damaged.

    Args:
        answered: (slot, position of its reply in the bytes), in the order of the bytes.
        slots: number of slots.
        size: number of bytes that came.
        before: (slots,) found damaged when they were asked before.
    """
    if not size:
        return before.copy()  # perhaps the request itself was lost: nothing new is known
    damaged = np.zeros(slots, dtype=np.bool_)
    last_slot, end = -1, 0
    for slot, position in [*answered, (slots, size)]:
        missing = slice(last_slot + 1, slot)
        came = position - end
        if came > 0 and slot > last_slot + 1:
            is_enough = -(-came // FAST_BYTES) >= slot - last_slot - 1
            damaged[missing] = before[missing] if before[missing].any() and not is_enough else True
        last_slot, end = max(last_slot, slot), position + FAST_BYTES
    return damaged
