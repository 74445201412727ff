"""Baud changes of a line's modules: announced, on trial, stored, and back by themselves, section 10."""

import struct
from dataclasses import dataclass
from typing import Final

from twin.bus.devices import HIGHEST_BAUD
from twin.firmware.module_state import NEVER, Mask, ModuleState, Moment

RATES: Final = (9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600, 1_000_000, 2_000_000, 3_000_000)
ALONE_S: Final = 60.0


@dataclass(slots=True)
class BaudTrial:
    """What a line's modules plan: a change at `change_wire_s`, the way back at `back_wire_s`."""

    baud: int = 0
    trial_s: float = 0.0
    change_wire_s: float = NEVER
    back_wire_s: float = NEVER

    def plan(self, payload: bytes, now: Moment) -> None:
        """Obey SET_BAUD; a malformed or impossible one is ignored."""
        if len(payload) != 7:
            return
        baud, delay_ms, trial_s = struct.unpack("<IHB", payload)
        if baud in RATES and baud <= HIGHEST_BAUD and 10 <= delay_ms <= 1000 and 5 <= trial_s <= 60:
            self.baud, self.trial_s = baud, float(trial_s)
            self.change_wire_s = now.wire_s + delay_ms / 1000.0

    def heard(self, now: Moment) -> None:
        """An intact frame of the master arrived: nobody is alone for the next minute."""
        if self.back_wire_s != NEVER:
            self.back_wire_s = now.wire_s + ALONE_S

    def settle(self, state: ModuleState, ears: Mask, now: Moment) -> int | None:
        """Change or go back when it is time; returns the baud that the modules have taken, None without a change."""
        if self.change_wire_s <= now.wire_s:
            state.baud[ears] = self.baud
            self.back_wire_s = self.change_wire_s + self.trial_s
            self.change_wire_s = NEVER
            state.touch()
            if self.back_wire_s > now.wire_s:
                return self.baud
        if self.back_wire_s <= now.wire_s:
            self.back_wire_s = NEVER
            state.baud = state.stored_baud.copy()
            state.touch()
            return int(state.stored_baud[0])
        return None


def save(state: ModuleState, ears: Mask, payload: bytes) -> None:
    """Obey SAVE_BAUD: stored by those that run at exactly this baud."""
    if len(payload) == 4:
        baud = int.from_bytes(payload, "little")
        state.stored_baud[ears & (state.baud == baud)] = baud
