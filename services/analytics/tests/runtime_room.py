"""Strings for the tests of runtime: rules from a small site, and readings written by hand."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from analytics.believed import Believed
from analytics.readings import Floats, Layout, Readings
from analytics.runtime.follow import Runtime, RuntimeMemory, follow_runtime
from analytics.runtime.rules import RuntimeRules
from cellkeeper.contract.battery_type import BatteryType, shipped_battery_types
from cellkeeper.contract.site import Site

START_S = 1_750_000_000.0
_RULES: dict[str, RuntimeRules] = {}  # taking a table apart costs a third of a second


def site_of(
    strings: int,
    battery: BatteryType,
    units: int,
    *,
    load_w: float | None = None,
    ups_v: float | None = None,
    **own: Any,
) -> Site:
    """Return a site of equal strings of a battery type on one dc bus."""
    tables = [
        {
            "id": f"s{number}", "dcbus": "ups", "cells": units, "cells_per_unit": battery.cells_per_unit,
            "chemistry": battery.chemistry, "module_type": "c20" if battery.cells_per_unit > 1 else "c44",
            "rated_ah": battery.rated_ah, "rate_h": battery.rate_h, "ref_degc": battery.ref_degc,
            "modules": [{"bus": "b", "first_address": 1 + 1000 * number, "count": units}], **own,
        }
        for number in range(strings)
    ]  # fmt: skip
    dcbus: dict[str, Any] = {"id": "ups"} | ({} if load_w is None else {"load_w": load_w})
    dcbus |= {} if ups_v is None else {"cutoff_v": ups_v}
    tree = {"site": {"id": "x", "name": "x"}, "bus": [{"id": "b", "port": "p"}], "dcbus": [dcbus], "string": tables}
    return Site.model_validate(tree)


@dataclass(slots=True)
class Room:
    """Strings that are followed from scan to scan; `at_s` moves with each."""

    rules: RuntimeRules
    memory: RuntimeMemory
    believed: Believed
    at_s: float = START_S

    @classmethod
    def of(cls, name: str, *, strings: int = 1, units: int = 24, typed: bool = True, **site: Any) -> "Room":
        battery = shipped_battery_types()[name]
        described = site_of(strings, battery, units, **site)
        kind = f"{typed} {described.model_dump_json()}"
        if kind not in _RULES:
            ids = [string.id for string in described.string]
            layout = Layout.of(dict.fromkeys(ids, units), dict.fromkeys(ids, battery.cells_per_unit))
            _RULES[kind] = RuntimeRules.of(layout, described, dict.fromkeys(ids, battery) if typed else {})
        rules = replace(_RULES[kind], nominal_w=_RULES[kind].nominal_w.copy())
        n = rules.layout.units
        return cls(
            rules, RuntimeMemory.empty(rules), Believed(np.ones(n), np.full(n, 0.01), np.ones(n), np.full(n, 0.02))
        )

    @property
    def strings(self) -> int:
        return len(self.rules.layout.strings)

    def scan(self, *, amps: float = 0.0, cell_v: float = 2.27, **own: Floats) -> Readings:
        """Return a scan of all strings with all units alike, except for what is given."""
        s, n = self.strings, self.rules.layout.units
        unit_v = cell_v * self.rules.layout.cells_per_unit
        plain = Readings(
            at_s=np.full(s, self.at_s), discharge_a=np.full(s, amps), string_v=np.full(s, np.nan),
            float_a=np.full(s, np.nan), ambient_degc=np.full(s, np.nan), unit_v=unit_v, unit_v_as_read=unit_v,
            degc=self.rules.curves.ref_degc[self.rules.layout.string_of], bleed_a=np.zeros(n),
            quality=np.zeros(n, dtype=np.uint8),
        )  # fmt: skip
        changed: dict[str, Any] = dict(own)
        if "unit_v" in own and "unit_v_as_read" not in own:
            changed["unit_v_as_read"] = own["unit_v"]
        return replace(plain, **changed)

    def follow(self, scan: Readings, mode: str = "float") -> Runtime:
        """Let the estimator see a scan."""
        modes: Any = [mode] * self.strings
        self.memory, runtime = follow_runtime(self.memory, scan, modes, self.believed, self.rules)
        return runtime

    def after(self, seconds: float, mode: str = "float", **scan: Any) -> Runtime:
        """Let time pass and the estimator see a scan."""
        self.at_s += seconds
        return self.follow(self.scan(**scan), mode)
