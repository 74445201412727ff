"""When the memory is written: a killed process may not cost the outage that it was recording."""

from analytics.save_plan import SavePlan


def plan_of(took_s: float = 0.0) -> SavePlan:
    plan = SavePlan(save_s=60.0, real_s=0.0, event_s=1000.0)
    plan.begin(0.0, 1000.0)
    plan.end(took_s)
    return plan


def test_nothing_discharges_and_a_minute_is_soon_enough():
    plan = plan_of()
    assert not plan.is_due(59.0, 1059.0, is_recording=False)
    assert plan.is_due(60.0, 1060.0, is_recording=False)


def test_a_discharge_is_written_down_every_few_seconds_of_event_time():
    plan = plan_of()
    assert not plan.is_due(4.0, 1004.0, is_recording=True)
    assert plan.is_due(5.0, 1005.0, is_recording=True)
    assert plan.is_due(1.0, 1010.0, is_recording=True), "ten times as fast as real time"


def test_a_slow_disk_or_a_large_room_is_not_written_all_the_time():
    plan = plan_of(took_s=1.0)
    assert not plan.is_due(19.0, 1019.0, is_recording=True)
    assert plan.is_due(20.0, 1020.0, is_recording=True)
