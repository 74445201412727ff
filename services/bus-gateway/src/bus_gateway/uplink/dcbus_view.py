"""The state of a dc bus, from the scans of its parallel strings; every value with its source and quality. Pure."""

from collections.abc import Mapping
from typing import Final, Literal

from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.telemetry import BreakerState, DcBusReading, DcBusState

from bus_gateway.downlink.battery_state import OnBattery, StringFacts, on_battery

_UNKNOWN: Final = DcBusReading(value=None, source="none", quality=Quality.SILENT)


def dcbus_state(dcbus: str, strings: Mapping[str, StringFacts], now_ms: int) -> DcBusState:
    """Return what the scans tell about a dc bus.

    Args:
        dcbus: its id.
        strings: the strings of this bus by id, as this gateway knows them.
        now_ms: event time.
    """
    states = [on_battery(facts) for facts in strings.values()]
    supplied = _combined(states)
    return DcBusState(
        dcbus=dcbus,
        measured_at=from_ms(now_ms),
        bus_v=_bus_v(strings),
        total_a=_total_a(strings),
        float_setpoint_v=_UNKNOWN,
        charger=_charger(supplied, strings),
        on_battery=supplied,
        breakers=[
            BreakerState(string=string, state="unknown", source="none", quality=Quality.SILENT) for string in strings
        ],
    )


def _combined(states: list[OnBattery]) -> OnBattery:
    if "yes" in states:
        return "yes"
    return "no" if states and "unknown" not in states else "unknown"


def _known(strings: Mapping[str, StringFacts], name: str) -> dict[str, float]:
    known = {}
    for string, facts in strings.items():
        if facts.readings is None or not facts.is_fresh or facts.readings.scalar_quality.get(name, 0) != 0:
            continue
        value = facts.readings.scalars.get(name)
        if value is not None:
            known[string] = value
    return known


def _bus_v(strings: Mapping[str, StringFacts]) -> DcBusReading:
    known = _known(strings, "string_v")
    if not known:
        return _UNKNOWN
    volts = round(sum(known.values()) / len(known), 3)
    return DcBusReading(value=volts, source=f"string_v of {', '.join(known)}"[:200], quality=Quality.GOOD)


def _total_a(strings: Mapping[str, StringFacts]) -> DcBusReading:
    known = _known(strings, "current_a")
    if len(known) < len(strings) or not known:  # a sum over some of the strings would be a wrong number
        return _UNKNOWN
    total_a = round(sum(known.values()), 3)
    return DcBusReading(value=total_a, source=f"current_a of {', '.join(known)}"[:200], quality=Quality.GOOD)


def _charger(supplied: OnBattery, strings: Mapping[str, StringFacts]) -> Literal["on", "off", "unknown"]:
    currents_a = _known(strings, "current_a")
    if supplied == "yes":
        return "off" if currents_a else "unknown"
    return "on" if supplied == "no" and any(amps >= 0.0 for amps in currents_a.values()) else "unknown"
