"""One RS-485 line with all its modules: bytes of the master in, bytes of the modules out with the time they take.

Sans-I/O and deterministic by seed: the caller says what time it is. Each request is hunted as section 2.3 says and
answered as section 3 says; a port or a test decides what to do with the times.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from twin.bus.bus_clock import LATEST_START_CHARACTERS, BusClock, WireTiming
from twin.bus.devices import DeviceSpec, LineSource
from twin.bus.transmitter import Emission, Transmitter
from twin.bus.wire_codec import (
    BROADCAST,
    FAST_LENGTH,
    LAST_ADDRESS,
    TRAIN_LIMIT,
    Bytes2d,
    FrameHunter,
    LongFrame,
    Type,
)
from twin.bus.wire_faults import Disturbance, Transmission
from twin.firmware.addressing import WHO_REPLY_LENGTH, uid_slot, who_is_valid, who_reply, who_rows
from twin.firmware.module_state import Mask, Moment, Rows
from twin.firmware.modules import ModuleBank, clock_errors
from twin.firmware.requests import hearing, obey
from twin.firmware.slot_plan import SlotPlan, SlotPlans

FLASH_S: Final = 0.010


@dataclass(frozen=True, slots=True)
class LineOptions:
    """How a line is simulated.

    Attributes:
        seed: of all its chance.
        strict: requests that begin while a module still transmits collide, and frames found late are dropped; without
            it, for byte streams without time, such requests wait and every find counts as punctual.
        clock_spread_frac: module clocks are drawn within ± this, at most 0.0025.
        start: when the modules are powered.
    """

    seed: int = 0
    strict: bool = True
    clock_spread_frac: float = 0.0
    start: Moment = field(default_factory=lambda: Moment(0.0, 0.0))


class TwinLine:
    """A line of modules.

    `clock` is the book of its wire time, `bank` the modules, `disturbance` the faults of the wire.
    """

    def __init__(
        self, devices: Sequence[DeviceSpec], source: LineSource, *, baud: int, options: LineOptions | None = None
    ) -> None:
        options = options or LineOptions()
        rng = random.Random(options.seed)  # noqa: S311  # chance of a simulation, repeatable by seed
        errors = clock_errors(len(devices), options.clock_spread_frac, options.seed)
        self.options: Final = options
        self.bank: Final = ModuleBank(devices, source, options.start, errors, rng)
        self.bank.host_baud = baud
        self.clock: Final = BusClock(WireTiming(baud))
        self.disturbance: Final = Disturbance(rng)
        self.late_requests = 0
        self._rng: Final = rng
        self._hunter: Final = FrameHunter()
        self._heard_until_s = float("-inf")
        self._out: Final = Transmitter(self.clock, self.disturbance, rng)
        self._plans: Final = SlotPlans()

    @property
    def timing(self) -> WireTiming:
        """Characters and pauses at the present baud."""
        return self.clock.timing

    @property
    def waiting(self) -> bool:
        """Whether something can come of silence: half a frame, or a module that babbles."""
        return self._hunter.holding > 0 or bool(self.disturbance.babbling)

    def feed(self, data: bytes, now_s: float, event_s: float | None = None) -> list[Emission]:
        """Take bytes that the master begins to send now; return what the modules send back.

        Args:
            data: any portion of any bytes.
            now_s: time on the line's clock, never running back.
            event_s: the room's time when it runs at another speed; without it, the line's.
        """
        event_s = now_s if event_s is None else event_s
        emitted = self.idle(now_s, event_s) if self._hunter.holding else []
        timing = self.timing
        start_s = max(now_s, self._heard_until_s)
        if self._hunter.holding == 0:
            start_s = self._begin_request(now_s)
        if self.options.strict and start_s < self._out.talking_until_s:
            self.clock.collisions += 1
            data = self._rng.randbytes(len(data))
        before = self._hunter.received
        frames = self._hunter.feed(data if self.disturbance.quiet else self.disturbance.on_request(data))
        self._heard_until_s = start_s + len(data) * timing.char_s
        self.clock.request(len(data), self._heard_until_s)
        self._count_errors()
        for frame in frames:
            end_s = start_s + (frame.end - before) * timing.char_s
            emitted += self._receive(frame, end_s, event_s + end_s - now_s)
        return emitted

    def idle(self, now_s: float, event_s: float | None = None) -> list[Emission]:
        """Let time pass without bytes from the master; return what modules send by themselves or had found late."""
        event_s = now_s if event_s is None else event_s
        emitted: list[Emission] = []
        if self._hunter.holding and now_s - self._heard_until_s > self.timing.silence_s:
            for frame in self._hunter.abandon():
                emitted += self._receive(frame, now_s, event_s)
            self._count_errors()
        bursts = self.disturbance.bursts(now_s, self.timing, since_s=self._out.talking_until_s)
        return emitted + self._out.send(bursts, now_s) if bursts else emitted

    def _begin_request(self, now_s: float) -> float:
        """Return when the first bit of a request that is given now goes out."""
        if self.options.strict:
            return max(now_s, self._heard_until_s)
        return max(now_s, self.clock.free_s + self.timing.gap_s)

    def _receive(self, frame: LongFrame, end_s: float, event_s: float) -> list[Emission]:
        if self.options.strict and not frame.punctual:
            self.late_requests += 1
            return []
        length_s = (len(frame.payload) + 9) * self.timing.char_s
        if end_s - length_s < self._out.talking_until_s:
            if self.options.strict:
                self.clock.collisions += 1
                return []
            end_s = self._out.talking_until_s + self.timing.gap_s + length_s
        now = Moment(end_s, event_s)
        self.clock.free_s = max(self.clock.free_s, end_s)
        self.bank.settle(now)
        self._follow_baud()
        self.bank.state.counters.rx_frames += 1
        self.bank.trial.heard(now)
        slotted = _SLOTTED.get(frame.type)
        return self._quick(frame, now) if slotted is None else slotted(self, frame, now)

    def _quick(self, frame: LongFrame, now: Moment) -> list[Emission]:
        sent = []
        for answer in obey(self.bank, frame, now):
            delay_s = max(FLASH_S, self.timing.gap_s) if answer.flash else self.timing.gap_s
            data = self.disturbance.on_reply(answer.row, answer.frame)
            sent.append(Transmission(now.wire_s + delay_s, data))
            self.bank.state.counters.tx_frames[answer.row] += 1
        self._follow_baud()
        if not sent:
            return []
        return self._out.send([*sent, *self._out.babble(now.wire_s, sent[-1].end_s(self.timing.char_s))], now.wire_s)

    def _train(self, frame: LongFrame, now: Moment) -> list[Emission]:
        if len(frame.payload) != 3:
            return []
        count, sample_id, page = frame.payload
        first = frame.address
        if not (1 <= count <= TRAIN_LIMIT and 1 <= first <= first + count - 1 <= LAST_ADDRESS):
            return []
        return self._slots(self._plans.of_range(self.bank.book, first, count), sample_id, page, (frame, now))

    def _list(self, frame: LongFrame, now: Moment) -> list[Emission]:
        count, odd = divmod(len(frame.payload) - 2, 2)
        if frame.address != BROADCAST or odd or not 1 <= count <= TRAIN_LIMIT:
            return []
        addresses = np.frombuffer(frame.payload, dtype="<u2", offset=2)
        if np.any((addresses == 0) | (addresses > LAST_ADDRESS)):
            return []
        rows = self.bank.book.first[addresses].astype(np.int64)
        _, first_places = np.unique(addresses, return_index=True)
        again = np.ones(count, dtype=np.bool_)
        again[first_places] = False
        rows[again] = -1
        return self._slots(SlotPlan.of(rows), frame.payload[0], frame.payload[1], (frame, now))

    def _slots(self, plan: SlotPlan, sample_id: int, page: int, asked: tuple[LongFrame, Moment]) -> list[Emission]:
        """Let modules answer in their slots."""
        frame, now = asked
        self.clock.train_asked(sample_id, len(frame.payload) + 9, now.wire_s)
        answers = self.bank.fast(sample_id, page, now)
        if not self._simple():
            return self._slots_one_by_one(plan.all_rows, answers.frames, answers.giving, now)
        if answers.all_give and plan.first_row is not None:
            first, count = plan.first_row, len(plan.rows)
            self.bank.state.counters.tx_frames[first : first + count] += 1
            return self._out.back_to_back(answers.blob[first * FAST_LENGTH : (first + count) * FAST_LENGTH], now.wire_s)
        given = answers.giving[plan.rows]
        slots, rows = plan.slots[given], plan.rows[given]
        self.bank.state.counters.tx_frames[rows] += 1
        return self._out.in_slots(slots, answers.frames[rows], now.wire_s)

    def _simple(self) -> bool:
        """Whether slots cannot touch each other: true clocks, no doubled address, nothing that disturbs."""
        return self.disturbance.quiet and not self.bank.book.others and not self.options.clock_spread_frac

    def _slots_one_by_one(self, rows: Rows, frames: Bytes2d, giving: Mask, now: Moment) -> list[Emission]:
        bursts = self._out.babble(now.wire_s, now.wire_s + (len(rows) + 1) * self.timing.slot_s())
        sent: list[Transmission] = []
        answered = 0
        for slot in np.flatnonzero(rows >= 0):
            address = int(self.bank.state.address[rows[slot]])
            together: list[Transmission] = []
            for row in self.bank.book.rows(address):
                if giving[row]:
                    start_s = self._slot_start_s(int(slot), row, now, [*sent, *bursts])
                    if start_s is not None:
                        data = self.disturbance.on_reply(row, frames[row].tobytes())
                        together.append(Transmission(start_s, data))
                        self.bank.state.counters.tx_frames[row] += 1
            sent += together
            answered += len(together)
        emitted = self._out.send([*sent, *bursts], now.wire_s) if sent or bursts else []
        self.clock.train_answered(answered)
        return emitted

    def _slot_start_s(self, slot: int, row: int, now: Moment, others: list[Transmission]) -> float | None:
        """Return when a module starts in its slot, None when the line was not free in time (section 3)."""
        timing = self.timing
        own_clock = 1.0 / (1.0 + float(self.bank.state.clock_frac[row]))
        planned_s = now.wire_s + (timing.slot_pause_s + slot * timing.slot_s()) * own_clock
        start_s = planned_s
        for other in others:
            if other.start_s < start_s:
                start_s = max(start_s, other.end_s(timing.char_s) + timing.gap_s)
        return start_s if start_s <= planned_s + LATEST_START_CHARACTERS * timing.char_s else None

    def _who(self, frame: LongFrame, now: Moment) -> list[Emission]:
        if not who_is_valid(frame.address, frame.payload):
            return []
        seed, bits, forget = int.from_bytes(frame.payload[:2], "little"), frame.payload[2], bool(frame.payload[3])
        bank, timing = self.bank, self.timing
        everybody = frame.address == BROADCAST
        rows = list(range(bank.state.size)) if everybody else bank.book.rows(frame.address)
        slots = [
            (uid_slot(int(bank.state.rated.uid[row]), seed, bits), row)
            for row in who_rows(bank.state, hearing(bank, rows), now, forget=forget)
        ]
        slot_s = timing.slot_s(WHO_REPLY_LENGTH)
        bursts = self._out.babble(now.wire_s, now.wire_s + 2**bits * slot_s)
        sent: list[Transmission] = []
        for slot, row in sorted(slots):
            own_clock = 1.0 / (1.0 + float(bank.state.clock_frac[row]))
            start_s = now.wire_s + (timing.slot_pause_s + slot * slot_s) * own_clock
            if any(b.start_s < start_s < b.end_s(timing.char_s) for b in bursts):
                continue
            data = self.disturbance.on_reply(row, who_reply(bank.state, row, frame.tag))
            sent.append(Transmission(start_s, data))
            bank.state.counters.tx_frames[row] += 1
        return self._out.send([*sent, *bursts], now.wire_s) if sent or bursts else []

    def _count_errors(self) -> None:
        self.bank.state.counters.header_errors = self._hunter.header_errors
        self.bank.state.counters.crc_errors = self._hunter.crc_errors

    def _follow_baud(self) -> None:
        if self.bank.host_baud != self.timing.baud:
            self.clock.timing = WireTiming(self.bank.host_baud)


_SLOTTED: Final[Mapping[int, Callable[[TwinLine, LongFrame, Moment], list[Emission]]]] = {
    Type.TRAIN: TwinLine._train,  # noqa: SLF001  # the table of its own methods
    Type.LIST: TwinLine._list,  # noqa: SLF001
    Type.WHO: TwinLine._who,  # noqa: SLF001
}
