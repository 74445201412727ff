"""What a person can do about a row that cannot be read. Pure."""

from typing import Final

_FOR: Final = (
    ("voltage", "is outside", "for millivolts --voltage-in mV"),
    ("current", "is outside", "for milliamperes --current-in mA"),
    (
        "time",
        "is not ISO 8601",
        "say how times are written: --time-format '%d.%m.%Y %H:%M:%S', seconds or milliseconds",
    ),
    ("time", "is not of the form", "see --time-format"),
    ("time", "beyond the year", "for milliseconds --time-format milliseconds"),
    ("", "fields, the header names", "for decimal commas the fields need another delimiter, or quotes"),
)


def advice(why: str) -> str:
    """Return what to do, with its semicolon; empty where the reason says all."""
    if "is not a number" in why:
        return "; for decimal commas --decimal ,; values have no units and no %" if "time" not in why else ""
    return next((f"; {do}" for begin, part, do in _FOR if why.startswith(begin) and part in why), "")
