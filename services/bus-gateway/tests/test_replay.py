"""Recorded files: values, signs and times as they are, bad rows told, and the whole way over a real broker."""

import asyncio

import pytest
from bus_gateway.drivers.recording import BadRow, RecordingError, Row, read_rows
from bus_gateway.drivers.replay import ReplayDriver
from bus_gateway.hands_on.replay_run import ReplayWish, replay_files, site_for
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.contract.site import ReplayTable
from cellkeeper.runtime.session import BrokerAddress, Session
from cellkeeper.testing.broker import running_broker
from gateway_room import Reader
from hypothesis import given
from hypothesis import strategies as st

GEL = """time,voltage,current,temperature
2017-03-28 23:04:17.300,13.3046463722,0.00854505226215,
2017-03-28 23:07:16.000,,,26.3103685054
2017-03-28 23:14:17.300,13.2853589685,-1.5,
"""
"""The first rows of a solar home system's telemetry (BSD-3-Clause, see the measured samples' licence file)."""


def gel_table(**changes):
    columns = {"voltage_column": "voltage", "current_column": "current", "temperature_column": "temperature"}
    return ReplayTable(file="gel.csv", time_column="time", **(columns | changes))


def wish_of(tmp_path, port, *files, **changes):
    table = gel_table().model_dump(exclude={"file"})
    string = {"chemistry": "vrla_agm", "cells_per_unit": 6, "rated_ah": 17.0}
    values = {"string": string, "site_id": "hh1", "string_id": "block", "state_dir": tmp_path / "state", "wait_s": 10.0}
    return ReplayWish(files=files, table=table, broker=BrokerAddress("127.0.0.1", port), **(values | changes))


async def readings_in(tmp_path, text, table, **changes):
    path = tmp_path / "file.csv"
    path.write_text(text, "utf-8")
    string = site_for(wish_of(tmp_path, 1, path, **changes)).string[0]

    async def room():
        await asyncio.sleep(0)

    driver, found = ReplayDriver(path, table, string, room), []
    sweeping = asyncio.create_task(_sweep_all(driver, found))
    await driver.finished.wait()
    sweeping.cancel()
    return driver, found


async def _sweep_all(driver, found):
    while True:
        await driver.sweep(found.append)


async def test_rows_become_scans_at_their_own_times_and_nothing_is_repeated(tmp_path):
    driver, found = await readings_in(tmp_path, GEL, gel_table())
    assert [each.measured_ms for each in found] == [1490742257300, 1490742436000, 1490742857300]
    assert found[0].cell_v.tolist() == [13.3046463722]
    assert [each.quality.tolist() for each in found] == [[0], [1], [0]]
    assert [each.degc_quality.tolist() for each in found] == [[1], [0], [1]]
    assert [each.scalars["current_a"] for each in found] == [0.00854505226215, None, -1.5]
    assert found[1].cell_degc.tolist() == [26.3103685054]
    assert driver.counts.bad_rows == 0


async def test_sign_header_less_files_and_seconds(tmp_path):
    text = "No,1.0,-61.20,4.062\nNo,2.0,-61.20,4.053\n"
    table = ReplayTable(
        file="x",
        columns=["flag", "s", "amps", "volts"],
        time_column="s",
        voltage_column="volts",
        current_column="amps",
        current_sign=-1,
        time_format="seconds",
        start_at="2026-01-01T00:00:00Z",
    )
    _, found = await readings_in(tmp_path, text, table, string={"chemistry": "nmc", "rated_ah": 33.1})
    assert [each.measured_ms for each in found] == [1767225601000, 1767225602000]
    assert [each.scalars["current_a"] for each in found] == [61.2, 61.2]
    assert found[0].degc_quality.tolist() == [4]


async def test_bad_rows_are_counted_with_their_lines_and_skipped_or_fatal(tmp_path):
    text = GEL + "2017-03-28 23:14:17.300,13.1,0,\n2017-03-28 23:15:00,abc,0,\nshort\n2017-03-28 23:16:00,12.9,,\n"
    driver, found = await readings_in(tmp_path, text, gel_table())
    assert (driver.counts.bad_rows, driver.counts.bad_lines) == (3, [5, 6, 7])
    assert len(found) == 4
    assert [notice.kind for notice in driver.take_notices()] == ["replay.bad_row"] * 3 + ["replay.finished"]
    driver, found = await readings_in(tmp_path, text, gel_table(bad_rows="fail"))
    assert len(found) == 3
    assert driver.failure is not None
    assert ":5:" in driver.failure


def test_a_missing_column_says_which_there_are():
    with pytest.raises(RecordingError, match="no column 'volt'; the file has time, voltage"):
        list(read_rows(GEL.splitlines(), gel_table(voltage_column="volt")))


@given(lines=st.lists(st.text(max_size=60), max_size=20))
def test_any_text_gives_rows_in_order_or_bad_rows(lines):
    rows = list(read_rows(["time,voltage,current,temperature", *lines], gel_table()))
    times = [row.measured_ms for row in rows if isinstance(row, Row)]
    assert times == sorted(set(times))
    assert all(isinstance(row, Row | BadRow) for row in rows)


async def test_a_replay_reaches_a_reader_row_by_row_and_again_sends_nothing_new(tmp_path):
    source = tmp_path / "gel.csv"
    rows = [
        f"2017-03-28 {10 + at // 60:02d}:{at % 60:02d}:00.000,{12.5 + at * 0.001:.4f},{at - 300}," for at in range(600)
    ]
    source.write_text("time,voltage,current,temperature\n" + "\n".join(rows), "utf-8")
    with running_broker(tmp_path / "broker") as broker:
        reader = Reader(Session(address=BrokerAddress("127.0.0.1", broker.port), client_id="reader"))
        scans = []
        reader.session.subscribe("cellkeeper/v1/hh1/string/block/scan", lambda m: scans.append(decode_scan(m.payload)))
        task = asyncio.create_task(reader.session.run())
        report = await replay_files(wish_of(tmp_path, broker.port, source))
        assert (report.failed, report.lines) == (
            False,
            ["gel.csv: 600 rows, 0 bad", "everything that was sent is stored"],
        )
        again = await replay_files(wish_of(tmp_path, broker.port, source))
        assert again.failed
        assert again.lines[1].startswith("600 rows were not sent")
        task.cancel()
    by_seq = {scan.seq: scan for scan in scans}
    assert sorted(by_seq) == list(range(1, 601))
    for at, seq in enumerate(sorted(by_seq)):
        assert by_seq[seq].cell_v[0] == pytest.approx(12.5 + at * 0.001)
        assert by_seq[seq].scalars["current_a"] == at - 300
