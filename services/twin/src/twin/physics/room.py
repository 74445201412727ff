"""A whole battery room on one clock: physics, charger, faults and instruments.

`advance` goes as far as it is told in steps that are fine after every event and grow with the time since, up to
`max_step_s`. The same room, seed and calls give the same numbers.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, assert_never

import numpy as np

from twin.errors import TwinUseError
from twin.physics import thermal
from twin.physics.cells import UnitBank
from twin.physics.fault_board import FaultBoard
from twin.physics.parameter_sets import ParameterSet, shipped_parameter_sets
from twin.physics.physical_faults import FaultEvent
from twin.physics.readings import ImpedanceReading, StringReading, StringTruth, follow
from twin.physics.room_spec import RoomSpec, plan_room
from twin.physics.sensors import SensorErrors, StringSensors
from twin.physics.settling import rest_at, settle_at_float, warm_by_float
from twin.physics.tables import Floats
from twin.physics.ups import DcBusState, Phase, UpsBank, UpsEvent
from twin.script.scenario import QUIET_FLOAT, AmbientEvent, Scenario
from twin.script.traces import TracedUnits

STEP_WIDTHS_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
STEP_OF_TIME_SINCE_EVENT: Final = 0.1
SAME_MOMENT_S: Final = 1e-9
SETTLING_ROUNDS: Final = 6  # of float current, its heat, and the set point that follows the heat
PULSE_S: Final = 0.1  # impedance by a current pulse: 10 Hz equivalent, where ageing shows and leads do not
CHARGER_RIPPLE_A_PER_AH: Final = 0.004
LOAD_RIPPLE_FRAC: Final = 0.03

type ScriptLine = UpsEvent | FaultEvent | AmbientEvent


class Room:
    """A battery room; strings by id, time in seconds since `start` or as a datetime."""

    def __init__(  # noqa: PLR0913  # the whole description of a room, by name
        self,
        spec: RoomSpec,
        *,
        seed: int,
        start: datetime,
        scenario: Scenario = QUIET_FLOAT,
        errors: SensorErrors | None = None,
        max_step_s: float = 10.0,
        parameter_sets: Mapping[str, ParameterSet] | None = None,
    ) -> None:
        """Build the room in settled float, or at rest if the scenario gives a charge.

        `parameter_sets` by name take the place of the shipped ones: other cells than usual.

        Raises:
            TwinUseError: the description does not make a room, or the scenario names what is not there.
        """
        if start.tzinfo is None:
            raise TwinUseError("start needs a time zone; give an aware datetime")
        sets = _sets_as(scenario, parameter_sets or shipped_parameter_sets())
        plan = plan_room(spec, sets, scenario.ambient_degc)
        self.spec: Final = spec
        self.start: Final = start
        self.now_s = 0.0
        self.bank: Final = UnitBank(plan.strings, seed=seed)
        self.ups: Final = UpsBank(plan.buses, plan.bus_of_string, self.bank)
        self.sensors: Final = {
            string.id: StringSensors(string, errors or SensorErrors(), seed=seed) for string in plan.strings
        }
        self._ambient_degc = scenario.ambient_degc
        self._swing_k: Final = scenario.swing_k
        self._max_step_s: Final = max_step_s
        self._traced: list[TracedUnits] = []
        self._faults: Final = FaultBoard(self.bank, self.sensors)
        self._changed_s = 0.0
        script: list[ScriptLine] = [*scenario.ups, *scenario.fault, *scenario.ambient]
        self._script: Final = deque(sorted(script, key=lambda line: line.at_s))
        self._settle(seed, scenario.soc_frac)
        self._obey()

    @property
    def now(self) -> datetime:
        """The room's time."""
        return self.start + timedelta(seconds=self.now_s)

    def advance(self, to: float | datetime) -> None:
        """Let the room live until `to`; a moment that has passed changes nothing."""
        end_s = (to - self.start).total_seconds() if isinstance(to, datetime) else float(to)
        while self.now_s < end_s - SAME_MOMENT_S:
            script_s = self._script[0].at_s if self._script else end_s
            stop_s = min(end_s, script_s, self._faults.next_end_s())
            self._step(min(stop_s - self.now_s, self._step_width_s()))
            if abs(stop_s - self.now_s) < SAME_MOMENT_S:
                self.now_s = stop_s
            self._obey()

    def reading(self, string: str, *, window_s: float = 0.1) -> StringReading:
        """Return one sample of `string`, each value the mean of one common window of `window_s`.

        Units that follow a trace show the recorded values as they are.
        """
        s, span, sensors = self._string(string)
        v = sensors.unit_v(self.bank.v[span], window_s)
        degc = sensors.unit_degc(self.bank.degc[span])
        string_a = float(self.bank.string_a[s])
        scalars = sensors.scalars(string_a, self._measured_v(s), self._ripple(s, span), self._ambient())
        reading = StringReading(self.now_s, v, degc, scalars)
        for traced in self._traced:
            if traced.string == string:
                reading = follow(reading, traced)
        return reading

    def impedance(self, string: str, *, pulse_s: float = PULSE_S) -> ImpedanceReading:
        """Return one impedance measurement of all units of `string`."""
        _, span, sensors = self._string(string)
        r_ohm = sensors.impedance_ohm(self.bank.impedance_ohm(pulse_s)[span])
        degc = sensors.unit_degc(self.bank.degc[span])
        return ImpedanceReading(self.now_s, r_ohm, degc, self.bank.v[span].copy(), pulse_s)

    def truth(self, string: str) -> StringTruth:
        """Return the state behind the readings of `string`."""
        s, span, _ = self._string(string)
        bank = self.bank
        return StringTruth(
            at_s=self.now_s,
            string_a=float(bank.string_a[s]),
            string_v=self._string_v(s),
            v=bank.v[span].copy(),
            degc=bank.degc[span].copy(),
            core_degc=bank.core_degc[span].copy(),
            soc_frac=bank.soc_frac[span],
        )

    def set_bleed(self, string: str, bleed_frac: Floats) -> None:
        """Set the bleed duty of all units of `string` (n,), 0..1; it holds until set again."""
        _, span, _ = self._string(string)
        self.bank.bleed_frac = self.bank.bleed_frac.copy()
        self.bank.bleed_frac[span] = np.clip(bleed_frac, 0.0, 1.0)

    def dcbus_states(self) -> tuple[DcBusState, ...]:
        """Return what the dc buses show."""
        return self.ups.states(self.bank.string_a)

    def command_ups(self, event: UpsEvent) -> None:
        """Do now what a script line says; its `at_s` is ignored."""
        self.ups.apply(event)
        self._touch()

    def inject(self, event: FaultEvent) -> int:
        """Begin a physical fault now, its `at_s` is ignored; return a number that `clear` takes.

        Raises:
            TwinUseError: it names what is not there, or its value is impossible.
        """
        number = self._faults.begin(event, self.now_s)
        self._touch()
        return number

    def clear(self, number: int) -> None:
        """End a fault that `inject` began; one that has ended already changes nothing."""
        self._faults.clear(number)
        self._touch()

    def follow_trace(self, traced: TracedUnits) -> None:
        """Let units show a recording from now on; a trace of all units also brings the string's current and volts.

        Raises:
            TwinUseError: no such string, or the trace has more units than the string from `first_cell` on.
        """
        _, span, _ = self._string(traced.string)
        if not 1 <= traced.first_cell <= span.stop - span.start - traced.trace.units + 1:
            raise TwinUseError(f"trace: {traced.trace.units} units do not fit string {traced.string!r} there")
        self._traced.append(traced)

    def _step(self, dt_s: float) -> None:
        c = self.bank.begin(dt_s)
        string_a = self.ups.share(c)
        self.now_s += dt_s
        self.bank.commit(c, string_a, np.full(len(self.bank.strings), self._ambient()))
        if self.ups.follow(string_a, dt_s):
            self._touch()

    def _step_width_s(self) -> float:
        allowed_s = min(STEP_OF_TIME_SINCE_EVENT * (self.now_s - self._changed_s), self._max_step_s)
        return max((width_s for width_s in STEP_WIDTHS_S if width_s <= allowed_s), default=STEP_WIDTHS_S[0])

    def _touch(self) -> None:
        self._changed_s = self.now_s
        self._faults.grow(self.now_s)

    def _obey(self) -> None:
        """Let what is due by now happen: script lines in order, faults that grow or end."""
        if self._faults.grow(self.now_s):
            self._touch()
        while self._script and self._script[0].at_s <= self.now_s + SAME_MOMENT_S:
            match self._script.popleft():
                case UpsEvent() as event:
                    self.ups.apply(event)
                case FaultEvent() as event:
                    self._faults.begin(event, self.now_s)
                case AmbientEvent() as event:
                    self._ambient_degc = event.degc
                case _ as never:
                    assert_never(never)
            self._touch()

    def _settle(self, seed: int, soc_frac: float | None) -> None:
        if soc_frac is not None:
            self.ups.phase[:] = Phase.REST
            for s in range(len(self.bank.strings)):
                rest_at(self.bank, s, soc_frac, seed)
            return
        cool_degc = self.bank.core_degc.copy()
        for _ in range(SETTLING_ROUNDS):
            warm_by_float(self.bank, cool_degc)
            self.ups.bus_v = self.ups.set_v()
            cell_v = self.ups.bus_v / self.ups.cells
            for s, bus in enumerate(self.ups.bus_of_string):
                self.bank.string_a[s] = settle_at_float(self.bank, s, float(cell_v[bus]), seed)

    def _ambient(self) -> float:
        midnight = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        time_of_day_s = (self.start - midnight).total_seconds() + self.now_s
        return thermal.ambient_degc(self._ambient_degc, self._swing_k, time_of_day_s)

    def _string(self, string: str) -> tuple[int, slice, StringSensors]:
        if string not in self.sensors:
            raise TwinUseError(f"no string {string!r} in this room; there are {', '.join(self.sensors)}")
        return list(self.sensors).index(string), self.bank.span[string], self.sensors[string]

    def _string_v(self, s: int) -> float:
        return float(np.sum(self.bank.v[self.bank.span[self.bank.strings[s].id]]))

    def _measured_v(self, s: int) -> float:
        at_ups = self.spec.strings[s].is_measured_at_ups
        return float(self.ups.bus_v[self.ups.bus_of_string[s]]) if at_ups else self._string_v(s)

    def _ripple(self, s: int, string_v_span: slice) -> tuple[float, float]:
        """Return ripple current and voltage: the charger's, and on load that of the inverter."""
        loaded = self.ups.phase[self.ups.bus_of_string[s]] in {Phase.OUTAGE, Phase.TEST}
        charger_a = CHARGER_RIPPLE_A_PER_AH * self.bank.strings[s].rated_ah
        ripple_a = LOAD_RIPPLE_FRAC * abs(float(self.bank.string_a[s])) if loaded else charger_a
        ohm = float(np.sum((self.bank.elements.r0_ohm * self.bank.elements.count)[string_v_span]))
        return ripple_a, ripple_a * ohm


def _sets_as(scenario: Scenario, sets: Mapping[str, ParameterSet]) -> dict[str, ParameterSet]:
    """Return the sets with the spread between cells, and the chargers, that a scenario asks for."""
    asked = {"soc_frac": scenario.soc_spread_frac, "gassing_ln": scenario.gassing_spread_ln}
    spread = {name: value for name, value in asked.items() if value is not None}
    changed: dict[str, ParameterSet] = {}
    for own in sets.values():
        charger = replace(own.charger, float_v=scenario.float_v.get(own.name, own.charger.float_v))
        changed[own.name] = replace(own, spread=replace(own.spread, **spread), charger=charger)
    return {name: changed[own.name] for name, own in sets.items()}
