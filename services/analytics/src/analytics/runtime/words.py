"""A prediction in one sentence, for people."""

from math import isnan

from analytics.runtime.follow import Runtime
from analytics.runtime.loads import LoadFrom

_LOADS = {
    LoadFrom.CONFIGURED: "the configured load",
    LoadFrom.LAST_DISCHARGE: "the load of the last discharge",
    LoadFrom.MEASURED: "this load",
}
DAY_S = 86_400.0


def runtime_sentence(string: str, runtime: Runtime, place: int) -> str:
    """Return what a prediction says of a string.

    Args:
        string: its id.
        runtime: of all strings.
        place: of the string among them.
    """
    bus_s, unit_s = float(runtime.bus_left_s[place]), float(runtime.unit_left_s[place])
    cell = int(runtime.cell[place])
    source = LoadFrom(int(runtime.load[place]))
    if source is LoadFrom.UNKNOWN:
        return f"string {string}: no runtime without a load; write load_w of its dc bus in site.toml"
    at_load = f"at {_LOADS[source]} of {runtime.power_w[place] / 1000.0:.3g} kW"
    if isnan(bus_s):
        return f"string {string}: runtime is unknown {at_load}; its charge or its current is not known"
    told = f"string {string} reaches cut-off in {span(bus_s, float(runtime.bus_left_sd_s[place]))} {at_load}"
    if cell == 0 or isnan(unit_s):
        return told
    if unit_s == 0.0:
        return f"{told}; cell {cell} is at its limit already"
    if unit_s < bus_s:
        return f"{told} because of cell {cell}, which is at its limit in {clock(unit_s)}"
    return f"{told} because of cell {cell}"


def span(seconds: float, sd_s: float) -> str:
    """Return a time with twice its standard deviation."""
    return f"{clock(seconds)} ± {clock(2.0 * sd_s)}"


def clock(seconds: float) -> str:
    """Return a time as minutes:seconds, from an hour on as hours:minutes h, beyond a day as such."""
    if seconds >= DAY_S:
        return "more than a day"
    whole = round(seconds)
    if whole >= 3600:
        minutes = round(seconds / 60.0)
        return f"{minutes // 60}:{minutes % 60:02d} h"
    return f"{whole // 60}:{whole % 60:02d}"
