"""How a dossier speaks: numbers with units, moments, verdicts and methods in plain sentences. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from cellkeeper.contract.chemistry import profiles

from analytics.dossier.capacity import CapacityFinding
from analytics.dossier.context import DossierContext, EarlierResult
from analytics.dossier.model import Dossier, Verdict

UNKNOWN: Final = "—"
VERDICT_TITLES: Final[dict[Verdict, str]] = {
    "pass": "Pass",
    "pass_weak_units": "Pass as a string; weak units to replace",
    "pass_repeat": "Pass, repeat within 12 months",
    "weak": "Weak: plan the replacement",
    "not_standard": "Not a standard test",
    "not_proven": "Not proven",
}
PROOF_WORDS: Final = {
    "proven": "proven",
    "at_least": "at least",
    "indicative": "indicative",
    "not_proven": "not proven",
}
ENDED_WORDS: Final = {
    "recharge": "the charger came back",
    "rest": "the load ended; the battery rested",
    "open": "the string was opened",
    "lost": "the readings stopped",
}
METHOD_WORDS: Final = {
    "time-adjusted": "time-adjusted (IEEE 450/1188)",
    "rate-adjusted": "rate-adjusted (IEEE 450/1188)",
    "charge counted": "charge counted",
    "none": "none",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its IANA name; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def known_zone(name: str) -> str:
    """Return a zone's name as it is; raises ValueError where this machine does not know it."""
    if name != "UTC" and zone_of(name) is UTC:
        raise ValueError(f"zone {name!r} is not known here; write an IANA name such as Europe/Berlin")
    return name


def moment(at_s: float, zone: tzinfo, *, seconds: bool = True) -> str:
    """Return an instant as a date and a time of the zone."""
    at = (_EPOCH + timedelta(seconds=round(at_s))).astimezone(zone)
    return at.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def length(seconds: float | None) -> str:
    """Return a length of time: 45 s, 12 min 05 s, 5 h 03 min."""
    if seconds is None or seconds != seconds:  # noqa: PLR0124  # NaN
        return UNKNOWN
    whole = round(abs(seconds))
    sign = "-" if seconds < 0.0 and whole else ""
    if whole < 60:
        return f"{sign}{whole} s"
    if whole < 3600:
        return f"{sign}{whole // 60} min {whole % 60:02d} s"
    return f"{sign}{whole // 3600} h {whole % 3600 // 60:02d} min"


def number(value: float | None, decimals: int, unit: str = "") -> str:
    """Return a number with its unit; a dash where there is none."""
    if value is None or value != value:  # noqa: PLR0124  # NaN
        return UNKNOWN
    text = f"{value:.{decimals}f}"
    text = text.lstrip("-") if float(text) == 0.0 else text
    return f"{text} {unit}" if unit else text


def percent(frac: float | None, decimals: int = 1) -> str:
    """Return a share in per cent."""
    return UNKNOWN if frac is None else f"{100.0 * frac:.{decimals}f} %"


def with_sd(frac: float | None, sd_frac: float | None) -> str:
    """Return a share with two standard deviations."""
    if frac is None:
        return UNKNOWN
    return percent(frac) if sd_frac is None else f"{100.0 * frac:.1f} ± {200.0 * sd_frac:.1f} %"


def proven(frac: float, sd_frac: float) -> str:
    """Return a share that is NaN where nothing is proven."""
    return "not proven" if np.isnan(frac) else with_sd(float(frac), None if np.isnan(sd_frac) else float(sd_frac))


def chemistry_name(chemistry: str) -> str:
    """Return a chemistry as people call it."""
    profile = profiles().get(chemistry)
    return chemistry if profile is None else profile.name


def not_validated(chemistry: str) -> str:
    """Return what of a dossier rests on figures that nobody held against measured cells; empty where nothing does."""
    profile = profiles().get(chemistry)
    if profile is not None and profile.estimate.validated_on:
        return ""
    return (
        f"Not validated: the charge curves of {chemistry_name(chemistry)} are typical ones, never held against "
        "measured cells. Predicted runtimes, the charge, and health from part of a discharge rest on them; what was "
        "measured, and the capacity by the method below, do not."
    )


def capacity_words(capacity: CapacityFinding) -> str:
    """Return the capacity with what it is worth: `at least 92.1 ± 1.1 %`."""
    if capacity.proof == "not_proven" or capacity.frac is None:
        return "not proven"
    value = with_sd(capacity.frac, capacity.sd_frac)
    return {"proven": value, "at_least": f"at least {value}", "indicative": f"about {value}, indicative only"}[
        capacity.proof
    ]


def result_words(result: EarlierResult) -> str:
    """Return the capacity of one discharge with what it is worth, short: `≥ 40.0 ± 0.3 %`."""
    if result.capacity_frac is None:
        return "not proven"
    mark = {"at_least": "≥ ", "indicative": "≈ "}.get(result.proof, "")
    return mark + with_sd(result.capacity_frac, result.capacity_sd_frac)


def verdict_sentences(dossier: Dossier) -> list[str]:
    """Return the verdict in sentences: what is said, why not more, and what to look at."""
    capacity, weakest = dossier.capacity, dossier.units[0] if dossier.units else None
    found = [_verdict(dossier)]
    if capacity.reasons:
        found.append(f"Why it proves no more: {'; '.join(capacity.reasons)}.")
    close = capacity.frac is not None and capacity.sd_frac is not None and capacity.proof == "proven"
    if close and any(abs((capacity.frac or 0.0) - limit) < 2.0 * (capacity.sd_frac or 0.0) for limit in (0.8, 0.9)):
        found.append("The limit lies within the uncertainty: a repeated test may fall on the other side of it.")
    if dossier.weak_cells:
        found.append(f"Below 80 % by themselves: cell {cells(dossier.weak_cells)}.")
    reversed_cells = [row.cell for row in dossier.units if row.reversed]
    if reversed_cells:
        found.append(f"Reversed below 0 V: cell {cells(reversed_cells)}. Replace before the next discharge.")
    if weakest is not None and weakest.before_end_s is not None and weakest.before_end_s >= 1.0:
        found.append(
            f"Cell {weakest.cell} was first at its end voltage, {length(weakest.before_end_s)} before the end."
        )
    return found


def _verdict(dossier: Dossier) -> str:
    capacity = dossier.capacity
    said = capacity_words(capacity)
    match dossier.verdict:
        case "pass" | "pass_weak_units":
            return f"The capacity is {said} of the rated one; 90 % or more pass."
        case "pass_repeat":
            return f"The capacity is {said} of the rated one: between 80 and 90 %, so the test is due every year."
        case "weak":
            return f"The capacity is {said} of the rated one: below 80 %, the end of life by IEEE 450/1188."
        case "not_standard":
            return f"No verdict on the capacity. The discharge shows {said} of the rated one."
        case "not_proven":
            return f"No verdict: the capacity is {said}."


def cells(found: Sequence[int], most: int = 12) -> str:
    """Return cell numbers, the first few by name."""
    more = len(found) - most
    return ", ".join(map(str, found[:most])) + (f" and {more} more" if more > 0 else "")


def sensor_words(context: DossierContext) -> list[tuple[str, str]]:
    """Return the sensors with their range and accuracy."""
    rows = []
    for sensor in context.sensors:
        reach = "range not stated" if sensor.range_max is None else f"range {sensor.range_max:g} {sensor.unit}"
        sure = "accuracy not stated" if sensor.accuracy is None else f"accuracy ±{sensor.accuracy:g} {sensor.unit}"
        rows.append((sensor.kind.replace("_", " "), f"{reach}, {sure}"))
    return rows
