"""What interlocks look at, put together from the newest scans and the published modes of one gateway."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cellkeeper.contract.channels import MODE
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.site import Site, StringTable
from cellkeeper.contract.telemetry import StringMode
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.session import Incoming

from bus_gateway.downlink.battery_state import StringFacts
from bus_gateway.downlink.interlock import Mode, Situation
from bus_gateway.uplink.uplink import StringOutlet

_NEVER_S: Final = float("inf")


@dataclass(kw_only=True)
class Watchtower:
    """Knows the strings of this gateway as they are now.

    Attributes:
        site: the whole site.
        outlets: by string, with the newest readings.
        clock: event time.
        on_bad_mode: called when a mode payload is refused.
    """

    site: Site
    outlets: Mapping[str, StringOutlet]
    clock: Clock
    on_bad_mode: Callable[[], None] = lambda: None
    _modes: dict[str, StringMode] = field(default_factory=dict)

    def on_mode(self, message: Incoming) -> None:
        """Take a published mode; an empty payload or one that cannot be read withdraws it."""
        ids = MODE.match(message.topic)
        if ids is None:
            return
        try:
            self._modes[ids["string"]] = decode(StringMode, message.payload)
        except PayloadRefusedError:
            self._modes.pop(ids["string"], None)
            if message.payload:
                self.on_bad_mode()

    def table(self, string: str) -> StringTable | None:
        """Return how `site.toml` describes a string of this gateway, None for any other."""
        if string not in self.outlets:
            return None
        return next(table for table in self.site.string if table.id == string)

    def strings_on(self, bus: str) -> Sequence[str]:
        """Return the strings of this gateway with modules or sensors on a bus."""
        return [
            table.id
            for table in self.site.string
            if table.id in self.outlets
            and (any(run.bus == bus for run in table.modules) or any(sensor.bus == bus for sensor in table.sensor))
        ]

    def facts(self, string: str) -> StringFacts:
        """Return what is known of a string now."""
        outlet, table = self.outlets[string], self.table(string)
        assert table is not None
        age_s = _NEVER_S if outlet.readings is None else self.clock.monotonic_s() - outlet.measured_s
        float_v = table.profile.float_v * table.cells_per_unit
        return StringFacts(outlet.readings, age_s, float_v, table.rated_ah)

    def mode(self, string: str) -> Mode | None:
        """Return the valid published mode of a string, None when there is none."""
        mode = self._modes.get(string)
        if mode is None:
            return None
        age_s = (self.clock.now_ms() - to_ms(mode.measured_at)) / 1000.0
        return mode.mode if abs(age_s) <= self.site.site.stale_after_s else None

    def around(self, strings: Sequence[str]) -> Situation:
        """Return the situation of strings and of their parallel neighbours."""
        buses = {table.dcbus for table in self.site.string if table.id in strings and table.dcbus is not None}
        near = [table.id for table in self.site.string if table.id in strings or table.dcbus in buses]
        facts = {string: self.facts(string) for string in near if string in self.outlets}
        modes = {string: mode for string in strings if (mode := self.mode(string)) is not None}
        return Situation(facts, modes)
