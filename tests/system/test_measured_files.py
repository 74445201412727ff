"""Measurements that others made end in the store with their values, units, signs and times, row by row."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cellkeeper.contract.moment import format_ms, to_ms
from cellkeeper.contract.physical import Quality
from cellkeeper.runtime.clock import ScaledClock
from cellkeeper.testing.measured import GEL_FILE, LEAF_FILE, LEAF_START, MeasuredRow, gel_rows, leaf_rows
from cellkeeper.testing.suite import Suite, running_suite

MEASURED = Path(__file__).parents[1] / "measured"
LEAF_COLUMNS = [f"c{number}" for number in range(1, 17)]

LEAF_STRING = """\
[[string]]
id = "leaf"
cells = 1
chemistry = "nmc"
rated_ah = 33.1
modules = [{ bus = "leaf", first_address = 1, count = 1 }]
sensor = [{ kind = "current", bus = "leaf", address = 2 }]
"""
GEL_STRING = """\
[[string]]
id = "gel"
cells = 1
cells_per_unit = 6
chemistry = "vrla_agm"
module_type = "c20"
rated_ah = 17.0
modules = [{ bus = "gel", first_address = 1, count = 1 }]
sensor = [{ kind = "current", bus = "gel", address = 2 }]
"""
SITE = f"""
[site]
id = "hh1"
name = "Recorded batteries"
[[bus]]
id = "leaf"
driver = "replay"
[bus.replay]
file = "{MEASURED / LEAF_FILE}"
columns = {json.dumps(LEAF_COLUMNS)}
time_column = "c2"
voltage_column = "c10"
current_column = "c9"
time_format = "seconds"
start_at = "{format_ms(to_ms(LEAF_START))}"
[[bus]]
id = "gel"
driver = "replay"
[bus.replay]
file = "{MEASURED / GEL_FILE}"
time_column = "time"
voltage_column = "voltage"
current_column = "current"
temperature_column = "temperature"
current_sign = -1
{LEAF_STRING}{GEL_STRING}"""


def ask(suite: Suite, path: str, start_ms: int, end_ms: int) -> list[dict]:
    """Return the rows of both ends and between."""
    columns = suite.ask(f"{path}?start={format_ms(start_ms)}&end={format_ms(end_ms + 1)}")["columns"]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def wait_until_stored(reader, string: str, seq: int) -> None:
    def is_stored(seen) -> bool:
        receipt = seen.last(f"string/{string}/stored")
        return receipt is not None and receipt["seq"] >= seq

    reader.wait(is_stored, f"{string} is stored to its last row")


@pytest.mark.timeout(600)
def test_a_lithium_cell_and_a_12_v_block_travel_the_whole_way(tmp_path: Path, read):
    with running_suite(tmp_path, SITE, "historian", "bus-gateway") as suite:
        reader = read(suite.broker.port)
        for string, rows in (("leaf", leaf_rows(MEASURED)), ("gel", gel_rows(MEASURED))):
            wait_until_stored(reader, string, len(rows))
            cells = ask(suite, f"strings/{string}/cell", rows[0].at_ms, rows[-1].at_ms)
            currents = ask(suite, f"strings/{string}/string", rows[0].at_ms, rows[-1].at_ms)
            assert [row["measured_at"] for row in cells] == [format_ms(row.at_ms) for row in rows]
            for stored, scalar, measured in zip(cells, currents, rows, strict=True):
                assert stored["cell_v"] == pytest.approx(measured.v, abs=0.5001e-4)
                assert scalar["current_a"] == pytest.approx(measured.a, abs=0.5001e-3)
                assert stored["degc"] == pytest.approx(measured.degc, abs=0.5001e-2)
                assert stored["quality"] == (0 if measured.v is not None else 1)


# --- twin modules that follow the files: the measured values travel as bytes, on the bus's own times


WINDOW_S = 0.1  # real time: a module measures from the master's request on, which takes its way through the port
NO_SCAN = {"quality": [Quality.BUS_ERROR]}
LEADS_S = (8.0, 30.0)  # real time in which the suite comes up: as a rule, and on a machine with much else to do
UNREAD_FRAC = 0.02  # of the scans: a machine that stalls for some milliseconds leaves values out, and says so
ATTEMPTS = 3  # what a longer stall left out is run through again; a value that is not true ends it at once
# the block's voltage leaps 0.1 s (6 ms of real time) before the current does: a scan between the two sees a lone change
MOST_DOUBTED = {"leaf": 0, "gel": 1}
UNSEEN_FRAC = 0.05  # of the rows: the same stall, while a row was short


@dataclass(frozen=True)
class Followed:
    """One file behind one module, and the stretch of it that a test runs through.

    `hold_s`, `degc_hold_s` are for how long the twin shows a row's values; `start_ms`, `end_ms` is the stretch.
    `long_rows` of its rows begin and end in it and last two scans or more.
    """

    rows: list[MeasuredRow]
    string: str
    path: Path
    options: str
    hold_s: float
    degc_hold_s: float
    resolution_v: float
    scan_s: float
    speed: float
    start_ms: int
    end_ms: int
    long_rows: int


def leaf_followed() -> Followed:
    """A row a second for a minute, then one a minute: half of each is silence with a hold of 30 s."""
    return Followed(
        rows=leaf_rows(MEASURED),
        string=LEAF_STRING,
        path=MEASURED / LEAF_FILE,
        options=f"header=no,time=2,v=10,current=9,start_at={format_ms(to_ms(LEAF_START))}",
        hold_s=30.0,
        degc_hold_s=30.0,
        resolution_v=1e-4,
        scan_s=0.5,
        speed=2.5,
        start_ms=to_ms(LEAF_START),
        end_ms=to_ms(LEAF_START) + 124_000,
        long_rows=60,
    )


def gel_followed() -> Followed:
    """The end of the discharge and its recovery, with temperatures of their own, then a gap of nine minutes."""
    return Followed(
        rows=gel_rows(MEASURED),
        string=GEL_STRING,
        path=MEASURED / GEL_FILE,
        options="time_format=iso,current=current,sign=-1,degc=temperature,start_at=recorded",
        hold_s=61.0,
        degc_hold_s=601.0,
        resolution_v=5e-4,
        scan_s=3.0,
        speed=16.0,
        start_ms=to_ms(datetime(2017, 3, 29, 13, 0, tzinfo=UTC)),
        end_ms=to_ms(datetime(2017, 3, 29, 13, 9, 20, tzinfo=UTC)),
        long_rows=9,
    )


def shown_at(file: Followed, at_ms: int) -> MeasuredRow:
    """What a module shows at an instant: the newest value of each quantity; nothing at all without a voltage."""

    def newest(quantity: str, hold_s: float) -> float | None:
        known = [row for row in file.rows if row.at_ms <= at_ms and getattr(row, quantity) is not None]
        return getattr(known[-1], quantity) if known and at_ms - known[-1].at_ms <= hold_s * 1000 else None

    v = newest("v", file.hold_s)
    return MeasuredRow(at_ms, v, newest("a", file.hold_s), None if v is None else newest("degc", file.degc_hold_s))


def possible(file: Followed, measured_ms: int) -> list[MeasuredRow]:
    """What a scan of this time may hold: one instant of the sample window, whose two ends may differ by rows."""
    last_ms = measured_ms + round(WINDOW_S * file.speed * 1000)
    holds = [0.0, file.hold_s, file.degc_hold_s]
    changes = [row.at_ms + round(hold_s * 1000) + 1 for row in file.rows for hold_s in holds]
    instants = {measured_ms - 1, measured_ms, last_ms, *(at for at in changes if measured_ms <= at <= last_ms)}
    return [shown_at(file, at_ms) for at_ms in sorted(instants)]


def found_and_wanted(
    file: Followed, stored: dict, measured: MeasuredRow
) -> list[tuple[float | None, float | None, float]]:
    """Return each quantity as stored and as measured, with the step of its device.

    A voltage that stands alone for one scan is rightly doubted and stored beside the good ones: see `MOST_DOUBTED`.
    """
    is_doubted = stored["quality"] == Quality.IMPLAUSIBLE and stored["cell_v"] is None
    return [
        (stored["cell_v_suspect" if is_doubted else "cell_v"], measured.v, file.resolution_v),
        (stored["current_a"], measured.a, 1e-3),
        (stored["degc"], measured.degc, 1e-2),
    ]


def is_true(file: Followed, stored: dict, measured: MeasuredRow) -> bool:
    """Whether every value that was stored is of these; one that could not be read is missing, and graded so."""
    return all(
        found is None or (wanted is not None and abs(found - wanted) <= 0.5001 * step)
        for found, wanted, step in found_and_wanted(file, stored, measured)
    ) and (stored["cell_v"] is not None or stored["quality"] != Quality.GOOD)


def is_whole(file: Followed, stored: dict, measured: MeasuredRow) -> bool:
    """Whether a row holds all of these values, and nothing where there is nothing."""
    is_all_there = all(
        (found is None) == (wanted is None) for found, wanted, _ in found_and_wanted(file, stored, measured)
    )
    graded = {Quality.SILENT} if measured.v is None else {Quality.GOOD, Quality.IMPLAUSIBLE}
    return is_all_there and stored["quality"] in graded and is_true(file, stored, measured)


def rows_to_see(file: Followed) -> list[tuple[int, int]]:
    """Return the times of rows, from and to, that begin and end in the stretch and last at least two scans."""
    ends_ms = [row.at_ms for row in file.rows[1:]]
    spans = [(row.at_ms, end_ms) for row, end_ms in zip(file.rows, ends_ms, strict=False)]
    return [
        (start, end)
        for start, end in spans
        if file.start_ms <= start and end <= file.end_ms and end - start >= 2000 * file.scan_s
    ]


def run_through(folder: Path, file: Followed, name: str, read) -> list[dict]:
    """Run the suite through the stretch; return the stored rows, cell and string joined."""
    holds = f"hold_s={file.hold_s:g},degc_hold_s={file.degc_hold_s:g}"
    trace = f"string={name},cell=1,file={file.path},{holds},{file.options}"
    scans, end = f"string/{name}/scan", format_ms(file.end_ms)
    head = f'[site]\nid = "hh1"\nname = "Recorded"\nscan_s = {file.scan_s}\n[[bus]]\nid = "{name}"\n'
    for lead_s in LEADS_S:
        clock = ScaledClock(file.start_ms - round(lead_s * file.speed * 1000), file.speed, time.monotonic())
        own = folder / f"{lead_s:g}"
        with running_suite(own, f'{head}port = "{own / "line"}"\n{file.string}', clock=str(clock)) as suite:
            suite.start("historian", "twin", "bus-gateway", CELLKEEPER_TWIN_TRACES=trace)
            reader = read(suite.broker.port)
            reader.wait(lambda seen: (seen.last(scans) or NO_SCAN)["quality"][0] != Quality.BUS_ERROR, "a scan")
            if clock.now_ms() > file.start_ms:
                continue
            reader.wait(lambda seen: seen.last(scans)["measured_at"] > end, "the stretch has passed")
            wait_until_stored(reader, name, reader.last(scans)["seq"])
            cells, scalars = (
                ask(suite, f"strings/{name}/{measurement}", file.start_ms, file.end_ms)
                for measurement in ("cell", "string")
            )
            assert [row["measured_at"] for row in cells] == [row["measured_at"] for row in scalars]
            return [scalar | cell for cell, scalar in zip(cells, scalars, strict=True)]
    pytest.fail(f"the suite is not up within {LEADS_S[-1]} s")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "file"), [("leaf", leaf_followed()), ("gel", gel_followed())], ids=["leaf", "gel"])
def test_measured_values_travel_as_bytes_from_twin_modules(tmp_path: Path, read, name: str, file: Followed):
    for attempt in range(ATTEMPTS):
        stored = run_through(tmp_path / str(attempt), file, name, read)
        scans = [(to_ms(datetime.fromisoformat(row["measured_at"])), row) for row in stored]
        untrue = [row for at_ms, row in scans if not any(is_true(file, row, one) for one in possible(file, at_ms))]
        assert not untrue, untrue
        assert sum(row["quality"] == Quality.IMPLAUSIBLE for row in stored) <= MOST_DOUBTED[name]
        right = [any(is_whole(file, row, one) for one in possible(file, at_ms)) for at_ms, row in scans]
        unread = [row for (_, row), is_right in zip(scans, right, strict=True) if not is_right]
        read_ms = [at_ms for (at_ms, _), is_right in zip(scans, right, strict=True) if is_right]
        wanted, unseen = seen_rows(file, read_ms)
        if len(unread) <= UNREAD_FRAC * len(stored) and len(unseen) <= UNSEEN_FRAC * len(wanted):
            break
    assert len(unread) <= UNREAD_FRAC * len(stored), unread
    assert len(unseen) <= UNSEEN_FRAC * len(wanted), unseen
    assert len(wanted) == file.long_rows
    assert any(row["quality"] == Quality.SILENT for row in stored)
    if name == "gel":
        assert {row["degc"] for row in stored} == {None, 23.19, 23.44}
        assert min(row["cell_v"] for row in stored if row["cell_v"] is not None) == 10.428


def seen_rows(file: Followed, read_ms: list[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the times of the rows to see, and of those that no scan saw."""
    window_ms = WINDOW_S * file.speed * 1000
    wanted = rows_to_see(file)
    return wanted, [span for span in wanted if not any(span[0] <= at_ms <= span[1] - window_ms for at_ms in read_ms)]
