"""Who answers in which slot of a train; kept per train, since a master asks the same trains again and again."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from twin.firmware.module_state import AddressBook, Rows

MOST_PLANS: Final = 4096  # different trains a master may ask before they are planned anew


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """Who answers a train.

    Attributes:
        all_rows: row of each slot, -1 for nobody.
        slots, rows: the slots that have somebody, and who.
        first_row: the first row when all slots are filled by consecutive ones, else None.
    """

    all_rows: Rows
    slots: Rows
    rows: Rows
    first_row: int | None

    @classmethod
    def of(cls, all_rows: Rows) -> "SlotPlan":
        """Return the plan for the rows of all slots."""
        slots = np.flatnonzero(all_rows >= 0)
        rows = all_rows[slots]
        gapless = len(rows) == len(all_rows) and bool(np.all(np.diff(rows) == 1))
        return cls(all_rows, slots, rows, int(rows[0]) if gapless and len(rows) else None)


class SlotPlans:
    """The plans of a line's trains, forgotten when an address changes."""

    def __init__(self) -> None:
        self._plans: dict[tuple[int, int], SlotPlan] = {}
        self._edition = -1

    def of_range(self, book: AddressBook, first: int, count: int) -> SlotPlan:
        """Return the plan of the train that asks `count` addresses from `first` on."""
        if self._edition != book.edition or len(self._plans) > MOST_PLANS:
            self._plans, self._edition = {}, book.edition
        plan = self._plans.get((first, count))
        if plan is None:
            plan = SlotPlan.of(book.first[first : first + count].astype(np.int64))
            self._plans[first, count] = plan
        return plan
