"""The firmware of all modules of a line: one state machine each (section 12), computed for all of them at once."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from twin.bus.devices import DeviceSpec, LineSource
from twin.bus.wire_codec import UNIT_PER_COUNT, Bytes2d, FastFields, Kind, TemperatureCode, ValueCode, fast_replies
from twin.firmware import baud, bleed, lights, sampling
from twin.firmware.baud import BaudTrial
from twin.firmware.impedance_test import TestBench
from twin.firmware.module_state import NEVER, AddressBook, Mask, ModuleState, Moment, Octets
from twin.physics.tables import Floats

BOOT_S: Final = 0.3
MOST_QUESTIONS: Final = 8  # newest samples and pages whose answers are kept assembled
RESET_CAUSE: Final = {"unknown": 0, "power": 1, "pin": 2, "watchdog": 3, "software": 4, "brown_out": 5}

type ResetCause = Literal["unknown", "power", "pin", "watchdog", "software", "brown_out"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A long reply of one module; `flash` when it had to store something first."""

    row: int
    frame: bytes
    flash: bool = False


@dataclass(frozen=True, slots=True)
class FastAnswers:
    """The answers of a whole line to one question: frames (M, 12), the same as bytes, and who gives one (M,)."""

    version: tuple[int, int]
    frames: Bytes2d
    blob: bytes
    giving: Mask
    all_give: bool


class ModuleBank:
    """All modules of one line.

    Args:
        specs: the devices in the order of the line.
        source: the world they measure.
        now: when they are powered.
        clock_frac: how much faster than true each module's clock runs, shape (M,), within ± 0.0025.
        rng: chance of the line.
    """

    def __init__(
        self, specs: Sequence[DeviceSpec], source: LineSource, now: Moment, clock_frac: Floats, rng: random.Random
    ) -> None:
        self.state: Final = ModuleState(specs, clock_frac, now)
        self.source: Final = source
        self.bench: Final = TestBench()
        self.book: Final = AddressBook()
        self.trial: Final = BaudTrial()
        self.host_baud = int(self.state.stored_baud[0]) if len(specs) else 0
        self.rng: Final = rng
        self._deafness = np.zeros(len(specs), dtype=np.int64)
        self.garbage: dict[int, int] = {}
        self._assembled: dict[tuple[int, int], FastAnswers] = {}
        self._ears: tuple[int, int, Mask] = (-1, 0, np.zeros(0, dtype=np.bool_))
        self._identify_end_s = NEVER
        self._shown_of_version = -1
        self._shown_bytes: tuple[Octets, Octets] = (np.zeros(0, np.uint8), np.zeros(0, np.uint8))
        self._next = Moment(-NEVER, -NEVER)
        self.book.write(self.state.address)

    @property
    def ears(self) -> Mask:
        """Who hears the master now: powered up, connected to the line, at its baud; shape (M,)."""
        state = self.state
        if self._ears[:2] != (state.version, self.host_baud):
            able = ~state.deaf & (state.boot_until_wire_s == -NEVER) & (state.baud == self.host_baud)
            self._ears = (state.version, self.host_baud, able)
        return self._ears[2]

    def settle(self, now: Moment) -> None:
        """Let everything happen that time alone brings about by `now`."""
        if now.wire_s < self._next.wire_s and now.event_s < self._next.event_s:
            return
        state = self.state
        up = state.boot_until_wire_s <= now.wire_s
        if (up & (state.boot_until_wire_s != -NEVER)).any():
            state.boot_until_wire_s[up] = -NEVER
            state.touch()
        sampling.finish(state, now)
        bleed.expire(state, now)
        self.bench.finish(state, self.source, now)
        changed = self.trial.settle(state, self.ears, now)
        if changed is not None:
            self.host_baud = changed
        if self._identify_end_s <= now.event_s:
            state.touch()
        self._next = self._next_change(now)

    def changed(self) -> None:
        """Say that something was begun whose end `settle` has to look for."""
        self._next = Moment(-NEVER, -NEVER)

    def supervise(self, now: Moment) -> None:
        """Make the checks that modules make at least once a second."""
        self.settle(now)
        if self.state.duty.any() or self.bench.running:
            reading = self.source.live()
            bleed.supervise(self.state, reading)
            self.bench.supervise(self.state, reading, now)

    def sample(self, sample_id: int, window: int, now: Moment) -> None:
        """Obey SAMPLE."""
        reading = self.source.read(window * sampling.WINDOW_UNIT_S)
        sampling.start_window(self.state, self.ears, (sample_id, window), reading, now)
        for row, counts in self.garbage.items():
            self.state.coming.value[row] = counts
        self.changed()

    def fast(self, sample_id: int, page: int, now: Moment) -> FastAnswers:
        """Return the fast reply of every module to a question; it is assembled once for all trains that ask it."""
        version = (self.state.version, self.state.sample_version)
        known = self._assembled.get((sample_id, page))
        if known is None or known.version != version:
            if len(self._assembled) >= MOST_QUESTIONS:
                self._assembled.clear()
            frames, giving = self._assemble(sample_id, page, now)
            known = FastAnswers(version, frames, frames.tobytes(), giving, bool(giving.all()))
            self._assembled[sample_id, page] = known
        return known

    def reset(self, rows: Sequence[int], cause: ResetCause, now: Moment) -> None:
        """Restart modules: nothing is answered for a while, and everything volatile is lost."""
        state = self.state
        mask = np.zeros(state.size, dtype=np.bool_)
        mask[list(rows)] = True
        state.forget(mask, now)
        state.reset_count[mask] += 1
        state.last_reset[mask] = RESET_CAUSE[cause]
        state.boot_until_wire_s[mask] = now.wire_s + BOOT_S
        for row in rows:
            self.bench.forget(row)
        state.touch()
        self.changed()

    def press_button(self, row: int, held_s: float) -> None:
        """Press a module's button: 10 to 15 s make it unaddressed with factory baud, any other press does nothing."""
        if not 10.0 <= held_s < 15.0:
            return
        self.state.stored_baud[row] = 115_200
        self.state.baud[row] = 115_200
        self.state.duty[row] = 0
        self.readdress(row, 0)

    def readdress(self, row: int, address: int) -> None:
        """Give a module an address, 0 for none: results of the old one and its mute are gone."""
        state = self.state
        state.address[row] = address
        state.held[row] = state.integrating[row] = False
        state.muted_until_event_s[row] = -NEVER
        state.touch()
        self.book.write(state.address)

    def deafen(self, rows: Sequence[int], *, by: int) -> None:
        """Add (1) or take back (-1) a reason why modules neither hear nor answer."""
        self._deafness[list(rows)] += by
        self.state.deaf = self._deafness > 0
        self.state.touch()

    def become(self, row: int, kind: Kind) -> None:
        """Make a device one of another kind, as if somebody had fitted the wrong type."""
        rated = self.state.rated
        rated.kind[row] = rated.page1[row] = kind
        scale = rated.unit[row] / UNIT_PER_COUNT[kind]
        rated.unit[row] = UNIT_PER_COUNT[kind]
        for counts in (rated.rated_min, rated.rated_max, self.state.bleed_floor):
            counts[row] = round(float(counts[row]) * scale)
        self.state.touch()

    def _next_change(self, now: Moment) -> Moment:
        state = self.state
        boots = state.boot_until_wire_s[state.boot_until_wire_s != -NEVER]
        wire_s = min(
            sampling.next_end_s(state),
            self.bench.next_end_s(),
            self.trial.change_wire_s,
            self.trial.back_wire_s,
            float(boots.min()) if len(boots) else NEVER,
        )
        identifies = state.identify_until_event_s[lights.identifying(state, now)]
        self._identify_end_s = float(identifies.min()) if len(identifies) else NEVER
        event_s = min(sampling.next_drop_s(state), bleed.next_expiry_s(state), self._identify_end_s)
        return Moment(wire_s, event_s)

    def _assemble(self, sample_id: int, page: int, now: Moment) -> tuple[Bytes2d, Mask]:
        state = self.state
        has_page = state.rated.has_page1 if page == 1 else np.full(state.size, page == 0)
        held = state.held & (state.held_id == sample_id) & has_page
        coming = state.integrating & (state.coming_id == sample_id)
        ripple = page == 1
        value = state.result.ripple if ripple else state.result.value
        temperature, nibble = state.result.temperature, np.full(state.size, sample_id & 0x0F, dtype=np.uint8)
        if not held.all():
            code = np.where(coming, np.int32(ValueCode.NOT_FINISHED), np.int32(ValueCode.NO_SAMPLE))
            value = np.where(held, value, np.where(has_page, code, np.int32(ValueCode.NO_PAGE)))
            temperature = np.where(held, temperature, np.int16(TemperatureCode.NOT_AVAILABLE))
            own_nibble = np.where(state.held, state.held_id, np.uint8(0)) & np.uint8(0x0F)
            nibble = np.where(held | coming | ~has_page, nibble, own_nibble)
        aux, status = self._shown(now)
        frames = fast_replies(
            FastFields(
                kind=np.where(has_page, state.rated.page1, state.rated.kind) if ripple else state.rated.kind,
                address=state.address,
                value=value,
                sample=nibble,
                temperature=temperature,
                aux=aux,
                status=status if ripple else status | lights.range_bits(state, held),
            )
        )
        return frames, self.ears & ~(held & state.result.absent)

    def _shown(self, now: Moment) -> tuple[Octets, Octets]:
        """Return aux and status bytes (M,), the latter without range bits."""
        if self._shown_of_version != self.state.version:
            self._shown_of_version = self.state.version
            aux = bleed.bleed_byte(self.state, list(self.bench.running))
            self._shown_bytes = aux, lights.status_byte(self.state, now)
        return self._shown_bytes

    def save_baud(self, payload: bytes) -> None:
        """Obey SAVE_BAUD."""
        baud.save(self.state, self.ears, payload)


def clock_errors(modules: int, spread_frac: float, seed: int) -> NDArray[np.float64]:
    """Return clock errors within ± `spread_frac` for a line's modules, shape (M,)."""
    return np.random.default_rng(seed).uniform(-spread_frac, spread_frac, modules)
