"""`string=s1,cell=1,file=x.csv,...`: how a person says which units follow which recording, and when it begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np

from twin.errors import TwinFileError, TwinUseError
from twin.physics.tables import Floats
from twin.script.trace_files import BadRows, Recording, TraceColumns, read_recording
from twin.script.traces import Trace, TracedUnits
from twin.twin_room import OLDEST_START

DELIMITERS: Final = {"comma": ",", "semicolon": ";", "tab": "\t"}
HOLD_S: Final = 60.0
MOST_TRACES: Final = 64
NEEDED: Final = ("string", "cell", "file")
COLUMNS: Final = ("time", "v", "degc", "current")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "header": ("yes", "no"),
    "time_format": ("seconds", "iso"),
    "sign": ("1", "-1"),
    "delimiter": tuple(DELIMITERS),
    "bad_rows": ("skip", "fail"),
}
KEYS: Final = (*NEEDED, *COLUMNS, *CHOICES, "start_at", "hold_s", "degc_hold_s")

type Start = Literal["now", "recorded"] | datetime


@dataclass(frozen=True, slots=True)
class FileTrace(TracedUnits):
    """Units that follow a file, and the rows of it that could not be used."""

    path: Path
    bad: BadRows


def traced_units(text: str, room_start: datetime = OLDEST_START) -> list[FileTrace]:
    """Return the units that follow recordings, read from their files.

    Args:
        text: one `key=value,...` per recording, separated by semicolons. `string`, `cell` and `file` are needed.
            `time`, `v`, `degc`, `current` are columns (time, voltage, none, none), by name, or by number from 1 with
            `header=no`. `time_format` is seconds or iso, `sign` -1 when the file counts discharge as positive,
            `delimiter` comma, semicolon or tab, `bad_rows` skip or fail. `start_at` is `now` (the first row counts from
            the room's start), `recorded` (iso: each row at its own instant), or the instant of second 0 (iso: of the
            first row). `hold_s` is for how long a row's values count (60), `degc_hold_s` the same for temperatures.
        room_start: when the room began.

    Raises:
        TwinUseError: a key is unknown or missing, or its value is none of those.
        TwinFileError: a file cannot be used.
    """
    parts = [part.strip() for part in text.split(";") if part.strip()]
    if len(parts) > MOST_TRACES:
        raise TwinUseError(f"{len(parts)} traces; at most {MOST_TRACES}")
    return [_one(part, room_start) for part in parts]


def _one(text: str, room_start: datetime) -> FileTrace:
    given = _given(text)
    columns = _columns(given, text)
    start = _start(given, columns, text)
    cell, hold_s, degc_hold_s = _numbers(given, text)
    recording = read_recording(Path(given["file"]), columns)
    trace = Trace(
        time_s=_placed(recording, columns, start, room_start),
        v=recording.v[:, np.newaxis],
        degc=None if recording.degc is None else recording.degc[:, np.newaxis],
        string_a=recording.string_a,
        hold_s=hold_s,
        degc_hold_s=degc_hold_s,
    )
    return FileTrace(given["string"], cell, trace, recording.path, recording.bad)


def _given(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for pair in text.split(","):
        key, _, value = (part.strip() for part in pair.partition("="))
        if key not in KEYS:
            raise TwinUseError(f"trace {text!r}: {key!r} is not known; there are {', '.join(KEYS)}")
        if key in given:
            raise TwinUseError(f"trace {text!r}: {key} is there twice; a second recording begins after a semicolon")
        given[key] = value
        if key in CHOICES and value not in CHOICES[key]:
            raise TwinUseError(f"trace {text!r}: {key} is one of {', '.join(CHOICES[key])}, not {value!r}")
    for key in NEEDED:
        if not given.get(key):
            raise TwinUseError(f"trace {text!r}: {key} is missing; add {key}=...")
    return given


def _columns(given: Mapping[str, str], text: str) -> TraceColumns:
    has_header = given.get("header", "yes") == "yes"
    if not has_header and not {"time", "v"} <= given.keys():
        raise TwinUseError(f"trace {text!r}: header=no needs the column numbers, for example time=2,v=10")
    return TraceColumns(
        time=given.get("time", "time"),
        v=given.get("v", "voltage"),
        degc=given.get("degc"),
        string_a=given.get("current"),
        has_header=has_header,
        time_format="iso" if given.get("time_format") == "iso" else "seconds",
        current_sign=float(given.get("sign", "1")),
        delimiter=DELIMITERS[given.get("delimiter", "comma")],
        bad_rows="fail" if given.get("bad_rows") == "fail" else "skip",
    )


def _numbers(given: Mapping[str, str], text: str) -> tuple[int, float, float]:
    """Return cell, hold_s and degc_hold_s."""
    try:
        cell, hold_s = int(given["cell"]), float(given.get("hold_s", HOLD_S))
        degc_hold_s = float(given.get("degc_hold_s", hold_s))
    except ValueError as exc:
        raise TwinUseError(f"trace {text!r}: cell, hold_s and degc_hold_s are numbers") from exc
    if not (cell >= 1 and hold_s > 0.0 and degc_hold_s > 0.0):
        raise TwinUseError(f"trace {text!r}: cell counts from 1, and hold_s and degc_hold_s are numbers above zero")
    return cell, hold_s, degc_hold_s


def _start(given: Mapping[str, str], columns: TraceColumns, text: str) -> Start:
    wanted = given.get("start_at", "now")
    if wanted == "now":
        return "now"
    if wanted == "recorded":
        if columns.time_format != "iso":
            raise TwinUseError(f"trace {text!r}: start_at=recorded needs time_format=iso; give an instant, or now")
        return "recorded"
    try:
        at = datetime.fromisoformat(wanted)
    except ValueError as exc:
        raise TwinUseError(
            f"trace {text!r}: start_at is now, recorded or an instant such as 2026-01-01T00:00:00Z, not {wanted!r}"
        ) from exc
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _placed(recording: Recording, columns: TraceColumns, start: Start, room_start: datetime) -> Floats:
    """Return the rows' times (R,) in seconds since the room's start."""
    time_s = recording.time_s
    if start == "now":
        zero_s, at_s = float(time_s[0]), 0.0
    elif start == "recorded":
        zero_s, at_s = room_start.timestamp(), 0.0
    else:
        zero_s = float(time_s[0]) if columns.time_format == "iso" else 0.0
        at_s = (start - room_start).total_seconds()
    placed_s: Floats = time_s - zero_s + at_s
    if placed_s[-1] < 0.0:
        raise TwinFileError(
            f"{recording.path}: its last row is {-placed_s[-1]:.0f} s before the twin's clock "
            f"({room_start.isoformat()}); set start_at=now or a later instant, or give the twin an earlier clock"
        )
    return placed_s
