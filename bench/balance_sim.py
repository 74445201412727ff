"""One string of the twin's physics with a balancer in a loop, in one process, as fast as it goes.

Between them is what a real site has between them: modules that round volts and temperatures to their resolution, keep
their own limit of heat, have a bleed resistor with a tolerance, and do what was asked at the next scan. A balancer
knows nothing of the twin's parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
from balancer.decision import PackMemory, decide
from balancer.dispatch import Sent
from balancer.orders import Orders
from balancer.pack_view import PackView
from balancer.rules import PackRules
from numpy.typing import NDArray
from twin.physics.room import Room

START = datetime(2026, 1, 5, tzinfo=UTC)
DUTY_STEPS = 200.0  # docs/bus-protocol.md, bleed byte
SMOOTH = 0.1  # spread as read, without the noise of a single sample

type Floats = NDArray[np.float64]
type Flags = NDArray[np.bool_]


class Balancer(Protocol):
    """Who decides; asked once per scan."""

    def duty(self, view: PackView, rules: PackRules) -> Floats:
        """Return the duty that every unit is to have from now on (n,)."""
        ...


@dataclass(slots=True)
class Cellkeeper:
    """The product's core: its decision, and of it what reaches the modules."""

    memory: PackMemory
    sent: Sent
    orders: Orders = field(default_factory=Orders)
    in_force: Floats = field(default_factory=lambda: np.zeros(0))
    commands: int = 0

    @classmethod
    def new(cls, units: int) -> "Cellkeeper":
        return cls(PackMemory.empty(units), Sent.unknown(units), in_force=np.zeros(units))

    def duty(self, view: PackView, rules: PackRules) -> Floats:
        decision = decide(view, self.memory, rules, self.orders)
        self.memory = decision.memory
        set_points, self.sent = self.sent.next(decision.duty, view.bleed_frac, view.at_s)
        if set_points is not None:
            self.commands += 1
            self.sent = self.sent.applied()
            self.in_force = self.in_force.copy()
            self.in_force[np.array(set_points.cells) - 1] = set_points.bleed_frac
        return self.in_force


class Nobody:
    """No balancing at all."""

    def duty(self, view: PackView, rules: PackRules) -> Floats:
        del rules
        return np.zeros(view.units)


@dataclass(slots=True)
class Trace:
    """What a run showed, a row per sample: event hours, spread as read and true, true range of charge, duty, warmth."""

    hours: list[float] = field(default_factory=list)
    spread_v: list[float] = field(default_factory=list)
    true_spread_v: list[float] = field(default_factory=list)
    soc_range_frac: list[float] = field(default_factory=list)
    mean_duty: list[float] = field(default_factory=list)
    hottest_degc: list[float] = field(default_factory=list)

    def first_below(self, spread_v: float, column: str = "spread_v") -> float | None:
        """Return the hour from which the spread stays below, None when it does not."""
        above = [hour for hour, each in zip(self.hours, getattr(self, column), strict=True) if each > spread_v]
        if not above:
            return 0.0
        return None if above[-1] == self.hours[-1] else above[-1]

    def at(self, hour: float) -> int:
        """Return the row of the last sample at or before an hour."""
        return max(0, int(np.searchsorted(self.hours, hour + 1e-6, side="right")) - 1)


@dataclass(slots=True)
class Closed:
    """A closed loop over one string.

    Attributes:
        judged: (n,) units whose spread counts; all unless a case says otherwise.
        on_view: what happens to a scan on its way, with the time since the start.
        smooth_v: (n,) as read, without the noise of a single sample.
    """

    room: Room
    rules: PackRules
    step_s: float
    tolerance: Floats
    resolution_v: float
    balancer: Balancer
    judged: Flags
    on_view: Callable[[PackView, float], PackView] | None = None
    moved_ah: Floats = field(init=False)
    heat_wh: Floats = field(init=False)
    smooth_v: Floats = field(init=False)
    asked: Floats = field(init=False)

    def __post_init__(self) -> None:
        n = self.rules.units
        self.moved_ah, self.heat_wh, self.asked = np.zeros(n), np.zeros(n), np.zeros(n)
        self.smooth_v = self.view().cell_v

    def view(self) -> PackView:
        """Return what the gateway would publish now."""
        reading = self.room.reading(self.rules.string)
        n = self.rules.units
        return PackView(
            at_s=START.timestamp() + self.room.now_s,
            cell_v=np.round(reading.v / self.resolution_v) * self.resolution_v,
            degc=np.round(reading.degc, 2),
            bleed_frac=self.asked.copy(),
            quality=np.zeros(n, dtype=np.uint8),
            is_cut_off=np.zeros(n, dtype=np.bool_),
            current_a=reading.scalars.string_a,
            float_a=None,
        )

    def step(self) -> Floats:
        """Let one scan pass; return the duties that follow from it."""
        self.room.advance(self.room.now_s + self.step_s)
        view = self.view()
        if self.on_view is not None:
            view = self.on_view(view, self.room.now_s)
        true_v = self.room.bank.v
        amps = self.asked * self.tolerance * true_v * (self.rules.bleed_a / self.rules.float_v)
        self.moved_ah += amps * (self.step_s / 3600.0)
        self.heat_wh += amps * true_v * (self.step_s / 3600.0)
        self.smooth_v = self.smooth_v + SMOOTH * (
            np.where(np.isnan(view.cell_v), self.smooth_v, view.cell_v) - self.smooth_v
        )
        most = self.rules.budget_w / np.maximum(true_v * true_v * (self.rules.bleed_a / self.rules.float_v), 1e-9)
        duty = np.minimum(self.balancer.duty(view, self.rules), np.minimum(most, 1.0))
        self.asked = np.floor(duty * DUTY_STEPS + 1e-9) / DUTY_STEPS
        self.room.set_bleed(self.rules.string, self.asked * self.tolerance)
        return self.asked

    def run(self, hours: float, every_s: float = 600.0) -> Trace:
        """Let `hours` pass and return what happened."""
        trace, due_s, begin_s = Trace(), 0.0, self.room.now_s
        while self.room.now_s < begin_s + hours * 3600.0 - 1e-6:
            self.step()
            if self.room.now_s - begin_s >= due_s:
                due_s += every_s
                self.sample(trace, (self.room.now_s - begin_s) / 3600.0)
        return trace

    def sample(self, trace: Trace, hours: float) -> None:
        """Write down how it stands."""
        truth, judged = self.room.truth(self.rules.string), self.judged
        trace.hours.append(hours)
        trace.spread_v.append(float(np.ptp(self.smooth_v[judged])))
        trace.true_spread_v.append(float(np.ptp(truth.v[judged])))
        trace.soc_range_frac.append(float(np.ptp(charge_frac(self.room, self.rules.string)[judged])))
        trace.mean_duty.append(float(self.asked.mean()))
        trace.hottest_degc.append(float(truth.core_degc.max()))


def charge_frac(room: Room, string: str) -> Floats:
    """Return the true state of charge per unit, above 1 where float has polarised it."""
    span = room.bank.span[string]
    return np.asarray(room.bank.state.soc_frac[: room.bank.size][span])
