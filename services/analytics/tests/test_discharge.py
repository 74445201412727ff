"""What is recorded of a discharge: when, how much charge, which samples; over gaps, restarts and bad scans."""

from dataclasses import fields, is_dataclass, replace
from math import isnan

import numpy as np
import pytest
from analytics.announced import Announcement
from analytics.believed import Believed
from analytics.discharge.kept import Body, Kept, Sample
from analytics.discharge.record import DischargeRecord, RuntimeSaid
from analytics.discharge.recorder import RecorderMemory, follow_recorder
from analytics.discharge.recording import MOST_SAMPLES, Charge
from analytics.mode import Told, follow_mode
from analytics.readings import Readings
from hypothesis import given, settings
from hypothesis import strategies as st
from string_scans import NAN, NOW_S, Player, Scan, layout_of, readings_of, rules_of, sagging, steady

TEST = Announcement("s1", "capacity, 3 h", "bms", 0.0, float("inf"))
FLOAT_V = 2.26


def outage(seconds: float, amps: float = 50.0, step_s: float = 1.0) -> list[Scan]:
    """Return 30 s of float, an outage from second 31 on, and a minute of recharge."""
    end_s = NOW_S + 31.0 + seconds
    return [
        *steady(NOW_S, 30.0, FLOAT_V, -0.1),
        *sagging(NOW_S + 31.0, seconds, 2.10, 1.95, amps, step_s),
        *steady(end_s + step_s, 60.0, 2.15, -20.0),
    ]


def recorded(scans: list[Scan], **how: object) -> DischargeRecord:
    player = Player(**how)  # type: ignore[arg-type]
    player.play(scans)
    assert len(player.records) == 1
    return player.records[0]


def same(one: object, other: object) -> bool:
    """Whether two nested frozen dataclasses hold the same numbers."""
    if is_dataclass(one):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, np.asarray(other), equal_nan=True)
    return one == other or repr(one) == repr(other)


def test_an_outage_from_its_onset_to_the_recharge():
    record = recorded(outage(600.0))
    assert (record.string, record.kind, record.ended_by) == ("s1", "outage", "recharge")
    assert record.began_s == NOW_S + 31.0
    assert record.ended_s == NOW_S + 631.0
    assert record.moved_ah == pytest.approx(50.0 * 600.0 / 3600.0, rel=2e-3)
    assert record.scans == 602  # the last one shows its end
    assert record.missing_s == 0.0
    assert record.notes == ()
    assert record.unit_v.shape == record.degc.shape == (len(record.at_s), 24)
    assert record.unit_v.dtype == np.float32


def test_ten_seconds_before_the_onset_are_in_it():
    record = recorded(outage(600.0))
    before = record.at_s < record.began_s
    assert before.sum() == 10
    assert record.at_s[0] == record.began_s - 10.0
    assert record.unit_v[before] == pytest.approx(FLOAT_V * 6.0)


def test_charges_and_health_at_both_ends_are_kept():
    player = Player()
    scans = outage(600.0)
    for scan in scans:
        player.soc_frac = 1.0 - max(0.0, scan.at_s - NOW_S - 31.0) / 6000.0
        player.batch(scan)
    record = player.records[0]
    assert record.soc_frac[0] == pytest.approx(1.0)
    assert record.soc_frac[1] == pytest.approx(0.9, abs=1e-3)
    assert record.soc_sd_frac == pytest.approx(0.01 * record.soc_frac)
    assert np.isnan(record.soh_frac).all()


def test_an_announced_test_is_one_and_has_its_name():
    record = recorded(outage(600.0), told=Told(in_test={"s1": TEST}))
    assert (record.kind, record.method, record.led_by) == ("test", "capacity, 3 h", "bms")
    assert not [note for note in record.notes if "announced" in note]


def test_a_test_that_was_announced_after_its_onset_says_so():
    late = replace(TEST, from_s=NOW_S + 300.0)
    record = recorded(outage(600.0), told=Told(in_test={"s1": late}))
    assert [note for note in record.notes if "announced as a test" in note]


def test_an_outage_has_no_method():
    record = recorded(outage(600.0))
    assert (record.kind, record.method, record.led_by) == ("outage", "", "")


@pytest.mark.parametrize(
    ("v", "a", "ended_by"), [(2.10, 0.0, "rest"), (2.15, -20.0, "recharge"), (2.26, -0.5, "recharge")]
)
def test_what_follows_ends_it(v, a, ended_by):
    scans = outage(600.0)[:-61]
    assert recorded([*scans, *steady(scans[-1].at_s + 1.0, 40.0, v, a)]).ended_by == ended_by


def test_an_opened_breaker_ends_it():
    player = Player()
    scans = outage(600.0)[:-61]
    player.play(scans)
    player.told = Told(opened=("s1",))
    player.play(steady(scans[-1].at_s + 1.0, 40.0, 2.10))
    assert player.records[0].ended_by == "open"


def test_a_load_step_of_some_seconds_is_no_event():
    player = Player()
    player.play(outage(3.0))
    assert "discharge" in player.modes()
    assert player.records == []


def test_an_outage_that_is_interrupted_by_the_mains_is_two():
    first = outage(120.0)[:-61]
    mains = steady(first[-1].at_s + 1.0, 3.0, 2.20, -20.0)
    second = [replace(scan, at_s=scan.at_s + mains[-1].at_s + 1.0 - NOW_S - 31.0) for scan in outage(200.0)[31:]]
    player = Player()
    player.play([*first, *mains, *second])
    assert [round(each.ended_s - each.began_s) for each in player.records] == [120, 200]
    assert [each.ended_by for each in player.records] == ["recharge", "recharge"]


class TestThinning:
    def test_a_long_discharge_is_bounded_and_dense_at_both_ends(self):
        record = recorded(outage(12_000.0), layout=layout_of(units=2))
        assert len(record.at_s) <= MOST_SAMPLES
        assert len(record.at_s) > MOST_SAMPLES // 3
        steps_s = np.diff(record.at_s)
        first = record.at_s[1:] <= record.began_s + 60.0
        last = record.at_s[1:] >= record.ended_s - 60.0
        assert (steps_s[first] == 1.0).all()
        assert (steps_s[last] == 1.0).all()
        assert steps_s.max() <= 9.0
        assert record.moved_ah == pytest.approx(50.0 * 12_000.0 / 3600.0, rel=2e-4)
        assert record.scans == 12_002

    def test_charge_counts_load_steps_that_no_kept_sample_shows(self):
        scans = outage(6_000.0)
        for place in range(500, 6_000, 7):  # 1 s of 150 A in seven
            scans[place] = replace(scans[place], discharge_a=150.0)
        record = recorded(scans, layout=layout_of(units=1))
        counted = np.array([scan.discharge_a for scan in scans if record.began_s <= scan.at_s <= record.ended_s])
        assert record.moved_ah == pytest.approx(np.trapezoid(counted) / 3600.0, rel=1e-3)

    def test_long_strings_keep_fewer(self):
        body = Body.empty(0.0, 500)
        for second in range(5000):
            body = body.take(Sample(float(second), 1.0, NAN, NAN, np.zeros(3, np.float32), np.zeros(3, np.float32)))
            assert body.count <= 500
        at_s = np.concatenate([each.at_s for each in body.all()])
        assert len(at_s) == body.count >= 200
        assert (np.diff(at_s) > 0.0).all()
        assert np.diff(at_s[1:]).max() <= 2.0 * np.diff(at_s[1:]).min() + 1.0


class TestBadData:
    def test_a_gap_is_bridged_and_told(self):
        scans = [scan for scan in outage(600.0) if not NOW_S + 200.0 < scan.at_s < NOW_S + 260.0]
        record = recorded(scans)
        assert record.missing_s == 60.0
        assert record.moved_ah == pytest.approx(50.0 * 600.0 / 3600.0, rel=2e-3)
        assert "60 s without a scan" in record.notes[0]
        assert "charge interpolated over 60 s" in record.notes[1]

    def test_slow_scans_with_jitter_are_no_gaps(self):
        layout = layout_of()
        scans = [*steady(NOW_S, 60.0, FLOAT_V, -0.1, 10.0), *sagging(NOW_S + 70.0, 1200.0, 2.10, 1.95, 50.0, 10.0)]
        scans += steady(scans[-1].at_s + 10.0, 60.0, 2.15, -20.0, 10.0)
        late = [replace(scan, at_s=scan.at_s + 0.3 * (place % 3)) for place, scan in enumerate(scans)]
        record = recorded(late, layout=layout, rules=rules_of(layout, scan_s=10.0))
        assert record.missing_s == 0.0
        assert record.moved_ah == pytest.approx(50.0 * 1200.0 / 3600.0, rel=0.01)

    def test_a_current_that_is_lost_for_most_of_the_time_gives_no_charge(self):
        scans = outage(600.0)
        scans = [replace(scan, discharge_a=NAN) if 50 < place < 500 else scan for place, scan in enumerate(scans)]
        record = recorded(scans)
        assert isnan(record.moved_ah)
        assert any("the charge is unknown" in note for note in record.notes)

    def test_without_a_current_sensor(self):
        scans = [replace(scan, discharge_a=NAN) for scan in outage(600.0)]
        player = Player()
        player.play([*scans, *steady(scans[-1].at_s + 1.0, 60.0, 2.26, NAN)])
        assert len(player.records) == 1
        assert isnan(player.records[0].moved_ah)
        assert player.records[0].ended_s >= NOW_S + 631.0

    def test_repeated_and_late_scans_count_once(self):
        clean = recorded(outage(600.0))
        scans = outage(600.0)
        player = Player()
        for place, scan in enumerate(scans):
            player.batch(scan)
            player.batch(scan)
            if place > 50:
                player.batch(replace(scans[place - 40], discharge_a=400.0))
        assert same(player.records[0], clean)

    def test_a_string_that_falls_silent_loses_its_discharge(self):
        player = Player(layout_of(2))
        for scan in outage(600.0)[:300]:
            player.batch(scan, Scan(scan.at_s, FLOAT_V, string=1))
        for second in range(1, 1000):
            player.batch(Scan(NOW_S + 299.0 + second, FLOAT_V, string=1))
        assert [(each.string, each.ended_by) for each in player.records] == [("s1", "lost")]
        assert player.records[0].ended_s == NOW_S + 299.0

    def test_a_clock_that_was_set_back_ends_it_as_lost(self):
        player = Player()
        player.play(outage(600.0)[:300])
        player.play(steady(NOW_S - 7200.0, 30.0, 1.99, 50.0))
        assert [each.ended_by for each in player.records] == ["lost"]
        assert "clock was set back" in player.records[0].notes[-1]

    def test_units_without_readings_are_named(self):
        record = recorded([replace(scan, missing=0.1) for scan in outage(100.0)])
        assert record.notes == ("no readings of units 23, 24",)

    def test_one_that_was_under_way_at_the_first_scan_says_so(self):
        record = recorded(outage(600.0)[100:])
        assert record.began_s == NOW_S + 100.0
        assert "under way at the first scan" in record.notes[0]

    def test_a_unit_that_reverses_is_kept_as_read(self):
        player = Player()
        for scan in outage(600.0):
            readings = readings_of(player.layout, scan)
            v = readings.unit_v.copy()
            if scan.discharge_a > 0.0:
                v[4] = NAN
            as_read = v.copy()
            as_read[4] = -1.2 if scan.discharge_a > 0.0 else readings.unit_v[4]
            played(player, replace(readings, unit_v=v, unit_v_as_read=as_read), None)
        assert player.records[0].unit_v[300, 4] == pytest.approx(-1.2)


def played(player: Player, readings: Readings, said: RuntimeSaid | None) -> None:
    """Let a batch that a test made itself pass, with a prediction."""
    player.memory, modes = follow_mode(player.memory, readings, player.rules)
    known = np.ones(player.layout.units)
    beliefs = Believed(known, known, known, known)
    player.recorder, records = follow_recorder(player.recorder, readings, modes, beliefs, [said], player.layout)
    player.records += records


def test_predictions_are_kept_in_order_and_thinned():
    player = Player()
    for scan in outage(2000.0):
        readings = readings_of(player.layout, scan)
        played(player, readings, RuntimeSaid(scan.at_s, 100.0, 10.0, 3, 120.0, 10.0))
    said = player.records[0].said
    at_s = [each.at_s for each in said]
    assert 100 <= len(said) <= 240
    assert at_s == sorted(set(at_s))
    assert at_s[0] == player.records[0].began_s
    assert at_s[-1] == player.records[0].ended_s


def rebuilt(item):
    """Return the item made anew from its parts, as a memory that was on disk is."""
    if is_dataclass(item):
        return type(item)(**{f.name: rebuilt(getattr(item, f.name)) for f in fields(item)})
    if isinstance(item, tuple):
        return tuple(rebuilt(each) for each in item)
    return item.copy() if isinstance(item, np.ndarray) else item


@pytest.mark.parametrize("at", [10, 31, 33, 90, 400, 640, 645])
def test_a_restart_at_any_moment_gives_the_same_record(at):
    scans = outage(600.0)
    clean = recorded(scans)
    player = Player()
    player.play(scans[:at])
    player.memory, player.recorder = rebuilt(player.memory), rebuilt(player.recorder)
    player.play(scans[at:])
    assert same(player.records[0], clean)


def test_many_strings_at_once_are_recorded_as_each_alone():
    layout = layout_of(3)
    player = Player(layout)
    alone = outage(300.0)
    for place, scan in enumerate(alone):
        player.batch(
            scan,
            Scan(scan.at_s, FLOAT_V, string=1),
            *([replace(alone[place - 5], string=2, at_s=scan.at_s)] if place > 5 else []),
        )
    first, third = player.records
    assert (first.string, third.string) == ("s1", "s3")
    assert same(replace(first, notes=()), recorded(alone))
    assert third.moved_ah == pytest.approx(first.moved_ah, rel=1e-9)
    assert third.began_s - first.began_s == 5.0


@settings(max_examples=50)
@given(
    steps=st.lists(st.tuples(st.floats(0.1, 9.0), st.floats(0.0, 300.0)), min_size=1, max_size=50),
    lost=st.sets(st.integers(0, 49)),
)
def test_charge_is_the_trapezoid_over_the_known_currents(steps, lost):
    charge, at_s, known = Charge(), 0.0, []
    for place, (dt_s, a) in enumerate(steps):
        at_s += dt_s
        charge = charge.count(at_s, NAN if place in lost else a, 10.0)
        if place not in lost:
            known.append((at_s, a))
    if not known:
        assert charge == Charge() or isnan(charge.at_s)
        return
    times, amps = zip(*known, strict=True)
    assert charge.ah == pytest.approx(np.trapezoid(amps, times) / 3600.0, abs=1e-9)
    assert charge.uncounted_s == pytest.approx(sum(dt for dt in np.diff(times) if dt > 10.0))


def test_what_flows_back_is_not_taken_off():
    charge = Charge().count(0.0, 36.0, 10.0).count(10.0, 36.0, 10.0).count(20.0, -360.0, 10.0)
    assert charge.ah == pytest.approx(0.1 + 0.05)
    assert charge.largest_a == 36.0


def test_samples_become_arrays_and_stay_in_order():
    samples = tuple(
        Sample(float(at), 2.0 * at, 3.0, NAN, np.full(2, at, np.float32), np.full(2, 20.0, np.float32))
        for at in range(5)
    )
    kept = Kept.of(samples)
    assert kept.unit_v[:, 0].tolist() == kept.at_s.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert kept.only(slice(1, 3)).discharge_a.tolist() == [2.0, 4.0]


def test_the_memory_of_a_quiet_room_stays_small():
    player = Player()
    for scan in steady(NOW_S, 300.0, FLOAT_V, -0.1):
        player.batch(scan)
    recorder = player.recorder
    assert isinstance(recorder, RecorderMemory)
    assert len(recorder.strings[0].before) <= 16
    assert recorder.strings[0].running is None
