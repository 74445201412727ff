"""Replies of a string's sensors to its scalars: sums of parallel sensors, signs, qualities. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from cellkeeper.contract.physical import PRECEDENCE, Quality

from bus_gateway.line.sweep import SensorRow
from bus_gateway.readings.scan_assembly import BY_DEGC_CODE, BY_VALUE_CODE, HIGHEST_DEGC, LOWEST_DEGC
from bus_gateway.wire.decode import ABOVE_RANGE, BELOW_RANGE, FastColumns, Flags, Kind, charging_a

HIGHEST_STRING_V: Final = 2000.0
_SENSOR_KINDS: Final[Mapping[str, frozenset[int]]] = {
    "current": frozenset({Kind.CURRENT, Kind.CURRENT_LARGE}),
    "float_current": frozenset({Kind.CURRENT_FLOAT}),
    "string_voltage": frozenset({Kind.STRING_VOLTAGE}),
    "ripple": frozenset({Kind.RIPPLE_CURRENT, Kind.RIPPLE_VOLTAGE}),
    "ambient": frozenset({Kind.AMBIENT}),
    "aux": frozenset({Kind.AUX}),
}
_SCALARS: Final = {
    Kind.CURRENT: "current_a",
    Kind.CURRENT_LARGE: "current_a",
    Kind.CURRENT_FLOAT: "float_a",
    Kind.STRING_VOLTAGE: "string_v",
    Kind.RIPPLE_CURRENT: "ripple_a_rms",
    Kind.RIPPLE_VOLTAGE: "ripple_v_rms",
    Kind.AMBIENT: "ambient_degc",
}


def string_scalars(
    sensors: Sequence[SensorRow], replies: FastColumns, answered: Flags, damaged: Flags
) -> tuple[dict[str, float | None], dict[str, int]]:
    """Return values and qualities of one string's sensors on one line; see `join_scalars` for several lines.

    Parallel current sensors are added, and the sum is void if one is missing. A ripple sensor that has never answered
    counts as one of current.

    Args:
        sensors: of the string.
        replies: of all sensor rows of the line.
        answered: (n,) which rows hold an intact reply.
        damaged: (n,) which rows got bytes and no intact reply.
    """
    values: dict[str, float | None] = {}
    qualities: dict[str, int] = {}
    for sensor in sensors:
        name, value, quality = _scalar_of(sensor, replies, answered, damaged)
        join_scalar(values, qualities, name, value, quality)
    return values, qualities


_EXPECTED: Final = {
    "current": "current_a",
    "float_current": "float_a",
    "string_voltage": "string_v",
    "ripple": "ripple_a_rms",
    "ambient": "ambient_degc",
}


def scalar_names(kind: str) -> tuple[str, ...]:
    """Return the scalars that a sensor of the site is expected to give."""
    return (_EXPECTED[kind],)


def join_scalar(
    values: dict[str, float | None], qualities: dict[str, int], name: str, value: float | None, quality: int
) -> None:
    """Add a sensor's value to what others of the string gave: currents are summed, of the rest the first counts."""
    if name not in values:
        values[name], qualities[name] = value, int(quality)
    elif name in {"current_a", "float_a"}:
        before = values[name]
        is_void = before is None or value is None
        worst = next(code for code in (*PRECEDENCE, Quality.GOOD) if code in {quality, qualities[name]})
        values[name] = None if is_void or before is None or value is None else round(before + value, 4)
        qualities[name] = int(worst)
    elif values[name] is None and value is not None:
        values[name], qualities[name] = value, int(quality)


def _scalar_of(
    sensor: SensorRow, replies: FastColumns, answered: Flags, damaged: Flags
) -> tuple[str, float | None, int]:
    row = sensor.row
    kind = int(replies.kind[row])
    if not answered[row] or kind not in _SENSOR_KINDS[sensor.kind]:
        is_silent = not answered[row] and not damaged[row]
        return _EXPECTED[sensor.kind], None, Quality.SILENT if is_silent else Quality.BUS_ERROR
    name = _SCALARS[Kind(kind)]
    if name == "ambient_degc":
        return name, *_ambient(replies, row)
    code = 0 if replies.code is None else int(replies.code[row])
    quality = int(BY_VALUE_CODE[code])
    if code or (name == "string_v" and abs(float(replies.value[row])) > HIGHEST_STRING_V):
        return name, None, quality or Quality.OUT_OF_RANGE
    if replies.status[row] & (BELOW_RANGE | ABOVE_RANGE):
        quality = Quality.OUT_OF_RANGE
    value = float(replies.value[row])
    return name, charging_a(value, is_reversed=sensor.is_reversed) if name.endswith("_a") else value, quality


def _ambient(replies: FastColumns, row: int) -> tuple[float | None, int]:
    degc = float(replies.degc[row])
    if not LOWEST_DEGC <= degc <= HIGHEST_DEGC:
        code = 0 if replies.degc_code is None else int(replies.degc_code[row])
        return None, int(BY_DEGC_CODE[code]) or int(Quality.OUT_OF_RANGE)
    return degc, int(Quality.GOOD)
