"""One line of modules: its open port, who is on it, what they last showed, and how a sample of it is read."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final, Literal

import numpy as np
from cellkeeper.contract.physical import ModuleStatus
from cellkeeper.contract.site import BusTable

from bus_gateway.line.bleeding import SetPoints
from bus_gateway.line.counters import LineCounters
from bus_gateway.line.exchange import Exchange
from bus_gateway.line.line_sweep import LineSweep, SegmentTaker
from bus_gateway.line.row_buffer import LOST_AFTER_SWEEPS, RowBuffer
from bus_gateway.line.sweep import LinePlan, Segment
from bus_gateway.notices import NoticeBoard, named
from bus_gateway.wire.decode import FastColumns, Flags, Kind
from bus_gateway.wire.decode_long import Identity
from bus_gateway.wire.timing import LineTiming

_WAS_RESET: Final = np.uint8(ModuleStatus.WAS_RESET)


class Line:
    """A bus of the site and everything the gateway knows about it.

    Attributes:
        bus: its table.
        plan: what is asked in a sweep.
        buffer: replies of the newest sweep.
        exchange: of the open port; None while there is none.
        is_taken: another process holds the port.
        is_tried: it is known if the port opens.
        counters: for metrics.
        identities: devices that introduced themselves, by address.
        unconfigured: addresses whose newest identity was not yet compared with the settings of its unit.
        duplicates: addresses that answer twice; no value of theirs is published.
        status, bleed_byte: (n,) by row, as last shown.
        answered: (n,) who answered in the newest sweep.
        was_reset: (n,) who showed a reset that nobody has acknowledged yet.
        set_points: what was asked of the bleeds.
    """

    def __init__(self, bus: BusTable, plan: LinePlan, notices: NoticeBoard) -> None:
        self.bus = bus
        self.plan = plan
        self.buffer = RowBuffer(plan.rows)
        self.exchange: Exchange | None = None
        self.is_taken = False
        self.is_tried = False
        self.counters = LineCounters()
        self.identities: dict[int, Identity] = {}
        self.unconfigured: set[int] = set()
        self.duplicates: set[int] = set()
        self.status = np.zeros(plan.rows, dtype=np.uint8)
        self.bleed_byte = np.full(plan.rows, 255, dtype=np.uint8)
        self.answered: Flags = np.zeros(plan.rows, dtype=np.bool_)
        self.was_reset: Flags = np.zeros(plan.rows, dtype=np.bool_)
        self.set_points = SetPoints(plan.rows)
        self.sweep: LineSweep | None = None
        self._notices = notices
        self._rows_of = {int(address): row for row, address in enumerate(plan.addresses)}

    @property
    def timing(self) -> LineTiming:
        """Times of the line, with the slack of the port that is open now."""
        return self.exchange.timing if self.exchange is not None else LineTiming(self.bus.baud, 0.05)

    def row_of(self, address: int) -> int | None:
        """Return the row of an address that the site describes."""
        return self._rows_of.get(address)

    def kind_at(self, address: int) -> int:
        """Return the kind a device introduced itself as, a cell module when it has not yet."""
        known = self.identities.get(address)
        return Kind.CELL if known is None else known.kind

    def silent_rows(self) -> Flags:
        """Return (n,) which devices have not answered for three sweeps in a row; all of them without a port."""
        if self.exchange is None:
            return np.ones(self.plan.rows, dtype=np.bool_)
        silent: Flags = self.buffer.silent_sweeps >= LOST_AFTER_SWEEPS
        return silent

    def introduced(self, address: int, who: Identity) -> None:
        """Note who sits at an address."""
        self.identities[address] = who
        self.unconfigured.add(address)

    def figures(self) -> dict[str, float]:
        """Return the counters and the state of the line, for metrics."""
        silent = self.plan.rows if self.exchange is None else int((self.buffer.silent_sweeps > 0).sum())
        return asdict(self.counters) | {
            "is_open": float(self.exchange is not None),
            "devices": self.plan.rows,
            "silent_devices": silent,
            "damaged_devices": int((self.buffer.damaged_sweeps > 0).sum()),
        }

    def begin(self, sample_id: int, take: SegmentTaker, done: Callable[[], None]) -> None:
        """Start reading a sample that was broadcast on this open line."""
        exchange = self.exchange
        if exchange is None:
            done()
            return
        loop = asyncio.get_running_loop()
        begun_s = loop.time()

        def take_segment(segment: Segment, replies: FastColumns, answered: Flags, damaged: Flags) -> None:
            self._remember(segment, replies, answered)
            take(segment, replies, answered, damaged)

        def finish() -> None:
            self.counters.sweep_s = loop.time() - begun_s
            self.sweep = None
            done()

        self.answered[:] = False
        self.sweep = LineSweep(self.plan, self.buffer, exchange, self.counters, sample_id, take_segment, finish)
        self.sweep.start()

    def _remember(self, segment: Segment, replies: FastColumns, answered: Flags) -> None:
        span = slice(segment.start, segment.stop)
        if answered.all():
            self.status[span] = replies.status
            self.bleed_byte[span] = replies.aux
            self.answered[span] = True
            resets = (replies.status & _WAS_RESET) != 0
        else:
            np.copyto(self.status[span], replies.status, where=answered)
            np.copyto(self.bleed_byte[span], replies.aux, where=answered)
            self.answered[span] = answered
            resets = ((replies.status & _WAS_RESET) != 0) & answered
        if resets.any():
            self.was_reset[span] |= resets

    def say_wrong_kind(self, addresses: Sequence[int]) -> None:
        """Note devices whose type the site describes otherwise; their values are not used."""
        text = f"devices of another type than the site describes, at addresses {named(addresses)}: values not used"
        self.say(
            "module.wrong_type", "error", text, about=named(addresses), modules=len(addresses), address=addresses[0]
        )

    def say(
        self,
        kind: str,
        severity: Literal["info", "warning", "error"],
        text: str,
        *,
        about: str = "",
        **data: str | float | bool | None,
    ) -> None:
        """Note something about this line; see `NoticeBoard.say`."""
        self._notices.say(
            kind, severity, f"bus {self.bus.id}: {text}", f"{self.bus.id} {about}", {"bus": self.bus.id, **data}
        )
