"""Every command of the gateway against every situation: only what cannot harm passes where a battery may be in use."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from bus_gateway.downlink.interlock import may_disturb
from bus_gateway.hands_on import holding_ports
from cellkeeper.contract.commands import GATEWAY_COMMANDS, MAX_HOLD_S, BleedCells, Command
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.session import BrokerAddress
from cellkeeper.testing.clock import ManualClock
from command_desk import SITE, Desk, readings
from hypothesis import given
from hypothesis import strategies as st

FIELDS: dict[str, dict[str, object]] = {
    "bleed": {"string": "s1", "cells": [1, 2], "bleed_frac": [0.5, 1.0], "hold_s": 30.0},
    "stop_bleed": {},
    "identify": {"string": "s1", "cells": [1], "on_s": 5.0},
    "measure_impedance": {"string": "s1", "cells": [1]},
    "search_modules": {"bus": "b1"},
    "assign_address": {"bus": "b1", "uid": "0011223344556677", "address": 9},
    "clear_address": {"bus": "b1", "address": 1},
    "identify_address": {"bus": "b1", "address": 1, "on_s": 5.0},
}
HARMLESS = {"stop_bleed", "identify", "identify_address", "search_modules"}  # zero, LEDs, questions
FORBIDDING_MODES = ("discharge", "test", "unknown")


SITUATIONS: dict[str, Callable[[Desk], None]] = {
    "on_battery by current": lambda desk: desk.sees(readings(current_a=-20.0)),
    "on_battery by voltage": lambda desk: desk.sees(readings(cell_v=2.0)),
    "no current sensor, not at float": lambda desk: desk.sees(readings(current_a=None, cell_v=2.18)),
    "every module silent": lambda desk: desk.sees(readings(current_a=None, cell_v=float("nan"))),
    "scan too old": lambda desk: desk.sees(readings(), age_s=11.0),
    "no scan yet": lambda desk: desk.sees(None),
}


def test_the_commands_are_known_and_none_moves_a_relay():
    assert GATEWAY_COMMANDS.keys() == FIELDS.keys(), "classify the new command here, then interlock it"
    for name, model in GATEWAY_COMMANDS.items():
        words = f"{name} {' '.join(model.model_fields)}"
        assert not any(word in words for word in ("relay", "breaker", "force", "firmware", "setpoint")), name


@pytest.mark.parametrize("name", sorted(GATEWAY_COMMANDS.keys() - HARMLESS))
@pytest.mark.parametrize("situation", SITUATIONS)
async def test_nothing_that_stresses_passes_on_battery_or_when_unknown(tmp_path: Path, name: str, situation: str):
    desk = Desk(tmp_path)
    SITUATIONS[situation](desk)
    desk.hears_mode("float")  # a mode cannot permit
    desk.send(name, **FIELDS[name])
    await desk.work()
    assert [answer.outcome.kind for answer in desk.answers] == ["refused"]
    assert desk.answers[0].outcome.reason in {"on_battery", "state_unknown"}
    assert desk.spy.asked == []


@pytest.mark.parametrize("name", sorted(GATEWAY_COMMANDS.keys() - HARMLESS))
async def test_it_passes_while_the_string_floats_unless_a_valid_mode_forbids(tmp_path: Path, name: str):
    desk = Desk(tmp_path)
    desk.sees(readings())
    desk.send(name, 1, **FIELDS[name])
    await desk.work()
    assert desk.spy.asked == [name]
    for number, mode in enumerate(FORBIDDING_MODES, start=2):
        desk.hears_mode(mode)
        desk.send(name, number, **FIELDS[name])
        await desk.work()
        assert (desk.answers[-1].outcome.kind, desk.answers[-1].outcome.reason) == ("refused", "mode_forbids")
    assert desk.spy.asked == [name]
    desk.hears_mode("discharge", age_s=2.0 * SITE.site.stale_after_s)  # no longer valid: as if absent
    desk.send(name, 9, **FIELDS[name])
    await desk.work()
    assert desk.spy.asked == [name, name]


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_zero_leds_and_questions_pass_everywhere(tmp_path: Path, situation: str):
    desk = Desk(tmp_path)
    SITUATIONS[situation](desk)
    for number, name in enumerate(sorted(HARMLESS), start=1):
        desk.send(name, number, **FIELDS[name])
        await desk.work()
    desk.send("bleed", 99, **(FIELDS["bleed"] | {"bleed_frac": [0.0, 0.0]}))
    await desk.work()
    assert {answer.outcome.kind for answer in desk.answers} == {"applied"}
    assert sorted(desk.spy.asked) == sorted([*HARMLESS, "zero"])


async def test_a_running_bleed_ends_in_every_forbidden_situation(tmp_path: Path):
    for number, (name, happens) in enumerate(SITUATIONS.items()):
        desk = Desk(tmp_path / str(number))
        (tmp_path / str(number)).mkdir()
        desk.sees(readings())
        desk.send("bleed", **FIELDS["bleed"])
        await desk.work()
        await desk.actions.tend_holds()
        assert desk.spy.asked == ["bleed"]
        happens(desk)
        await desk.actions.tend_holds()
        assert desk.spy.asked == ["bleed", "zero"], name


@given(
    current_a=st.none() | st.floats(-300.0, 300.0),
    cell_v=st.floats(0.0, 3.0) | st.just(float("nan")),
    age_s=st.floats(0.0, 30.0),
    mode=st.sampled_from(["float", "boost", "recharge", "discharge", "rest", "open", "test", "unknown"]),
)
def test_a_mode_only_forbids(tmp_path_factory, current_a, cell_v, age_s, mode):
    desk = Desk(tmp_path_factory.getbasetemp())
    desk.sees(readings(current_a, cell_v), age_s)
    without = may_disturb(["s1"], desk.tower.around(["s1"]))
    desk.hears_mode(mode)
    told = may_disturb(["s1"], desk.tower.around(["s1"]))
    assert told is not None if mode in FORBIDDING_MODES else told == without


async def test_retained_late_and_repeated_commands_never_act(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.sees(readings())
    assert list(desk.handlers.values()) == [False], "retained commands are not even asked for"
    desk.send("bleed", 1, retained=True, **FIELDS["bleed"])
    await desk.work()
    assert desk.spy.asked == []
    desk.send("bleed", 2, **FIELDS["bleed"])
    await desk.clock.advance(31.0)  # it waits in line until it has expired
    desk.sees(readings())
    await desk.work()
    assert (desk.spy.asked, desk.answers[-1].outcome.reason) == ([], "expired")
    desk.send("bleed", 3, **FIELDS["bleed"])
    desk.send("bleed", 3, **FIELDS["bleed"])
    await desk.work()
    assert desk.spy.asked == ["bleed"]
    again = Desk(tmp_path)  # the process was started anew
    again.sees(readings())
    again.send("bleed", 3, **FIELDS["bleed"])
    await again.work()
    assert (again.spy.asked, again.answers[-1].outcome.reason) == ([], "repeated")


async def test_a_disk_that_takes_no_id_stops_everything_but_zero(tmp_path: Path):
    desk = Desk(tmp_path)
    (tmp_path / "seen-commands").mkdir()  # nothing can be appended to it
    desk.sees(readings())
    desk.send("bleed", 1, **FIELDS["bleed"])
    desk.send("stop_bleed", 2)
    await desk.work()
    assert {answer.outcome.kind for answer in desk.answers} == {"refused", "applied"}
    assert desk.spy.asked == ["stop_bleed"]


@pytest.mark.parametrize(
    "more", [{"forced": True}, {"force": True}, {"hold_s": MAX_HOLD_S + 0.1}, {"hold_s": 14_400.0}]
)
def test_there_is_no_forced_bleed_and_no_longer_hold(more: dict[str, object]):
    head = {"v": 1, "id": str(UUID(int=1)), "expires_at": "2026-11-21T05:00:00.000Z"}
    assert isinstance(decode(BleedCells, orjson.dumps(head | FIELDS["bleed"])), Command)
    with pytest.raises(PayloadRefusedError):
        decode(BleedCells, orjson.dumps(head | FIELDS["bleed"] | more))


def test_with_the_port_to_oneself_nobody_vouches_for_a_battery_in_use():
    reach = holding_ports.Reach(SITE, BrokerAddress("127.0.0.1", 1), ManualClock())
    for vouched in (False, True):
        for swept in (readings(current_a=-20.0), readings(cell_v=2.0)):
            refused = holding_ports._interlock(reach, [swept], vouched=vouched)
            assert refused is not None
            assert refused.reason == "on_battery"
    silent = readings(current_a=None, cell_v=float("nan"))
    unknown = holding_ports._interlock(reach, [silent], vouched=False)
    assert unknown is not None
    assert unknown.reason == "state_unknown"
    assert holding_ports._interlock(reach, [readings()], vouched=False) is None
