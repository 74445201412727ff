"""Backoff, mailboxes and clocks: bounds hold whatever comes."""

import asyncio
from itertools import islice
from random import Random

import pytest
from cellkeeper.runtime.backoff import retry_delays_s
from cellkeeper.runtime.clock import ScaledClock, SystemClock, clock_from
from cellkeeper.runtime.mailbox import LatestPerKey, Mailbox
from cellkeeper.testing.clock import ManualClock
from cellkeeper.testing.patience import PATIENCE_S
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(), st.floats(0.01, 5.0), st.floats(5.0, 100.0))
def test_delays_stay_under_a_doubling_ceiling_and_never_reach_zero(seed: int, first_s: float, cap_s: float):
    for turn, delay_s in enumerate(islice(retry_delays_s(Random(seed), first_s=first_s, cap_s=cap_s), 40)):
        ceiling_s = min(cap_s, first_s * 2.0**turn)
        assert ceiling_s / 4.0 <= delay_s <= ceiling_s * 1.0000001


def test_two_clients_do_not_come_back_together():
    one, other = (list(islice(retry_delays_s(Random(seed)), 10)) for seed in (1, 2))
    assert all(a != b for a, b in zip(one, other, strict=True))


@given(st.lists(st.one_of(st.integers(), st.none()), max_size=60), st.integers(1, 8))
async def test_a_mailbox_never_exceeds_its_limit_and_keeps_order(steps: list[int | None], limit: int):
    box: Mailbox[int] = Mailbox(limit)
    model: list[int] = []
    refused = 0
    for step in steps:
        if step is None:
            if model:
                assert await box.take_all() == model
                model = []
        else:
            taken = box.put(step)
            assert taken == (len(model) < limit)
            refused += not taken
            model += [step] if taken else []
        assert len(box) == len(model) <= limit
    assert box.refused == refused


async def test_a_mailbox_wakes_whoever_waits():
    box: Mailbox[str] = Mailbox(2)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(box.take_all())
        await asyncio.sleep(0)
        box.put("a")
    assert waiting.result() == ["a"]


def test_the_newest_per_key_stays_and_the_unseen_are_counted():
    latest: LatestPerKey[str, int] = LatestPerKey()
    for key, value in (("a", 1), ("b", 2), ("a", 3)):
        latest.put(key, value)
    assert latest.take_all() == {"a": 3, "b": 2}
    assert latest.replaced == 1
    assert latest.take_all() == {}


def test_a_scaled_clock_survives_the_environment():
    clock = ScaledClock(1_795_237_200_000, 12.5, 1234.567891)
    assert ScaledClock.parse(str(clock)) == clock


def test_processes_with_the_same_clock_read_the_same_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.monotonic", lambda: 1010.0)
    clock = ScaledClock.parse("1000000:60.0:1000.0")
    assert clock.now_ms() == 1_000_000 + 600_000
    assert clock.monotonic_s() == 600.0


@pytest.mark.parametrize("text", ["1:2", "1:0:0", "1:-1:0", "1:inf:0", "1:nan:0", "a:1:0", "1:1:0:0"])
def test_a_wrong_clock_is_refused(text: str):
    with pytest.raises(ValueError, match=r"positive|convert|unpack|int"):
        clock_from(text)


def test_no_clock_is_the_systems():
    assert isinstance(clock_from(None), SystemClock)
    assert isinstance(clock_from(""), SystemClock)


async def test_sleepers_of_a_manual_clock_wake_in_order():
    clock = ManualClock()
    woken: list[str] = []

    async def sleeper(name: str, event_s: float) -> None:
        await clock.sleep(event_s)
        woken.append(name)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        for name, event_s in (("late", 3.0), ("early", 1.0), ("never", 9.0)):
            tasks.create_task(sleeper(name, event_s))
        await asyncio.sleep(0)
        await clock.advance(5.0)
        assert woken == ["early", "late"]
        await clock.advance(5.0)
    assert clock.now_ms() == 1_795_237_210_000
