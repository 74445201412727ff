"""The last gate before the wire, as properties."""

from datetime import timedelta
from uuid import UUID

import numpy as np
from bus_gateway.downlink.battery_state import FRESH_S, StringFacts, on_battery
from bus_gateway.downlink.bleed_hold import RENEW_S, BleedHolds
from bus_gateway.downlink.interlock import Situation, may_bleed, may_disturb
from cellkeeper.contract.commands import StopBleed
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.outcomes import Refused
from cellkeeper.runtime.command_gate import KEPT_AFTER_EXPIRY_S, CommandGate
from fake_driver import readings_of
from hypothesis import given
from hypothesis import strategies as st

NOW_MS = 1_795_237_200_000
IDS = st.integers(1, 6).map(lambda number: UUID(int=number))


@given(
    asked=st.lists(st.tuples(IDS, st.integers(-10, 5000), st.integers(-3600, 3600)), max_size=60),
)
def test_an_id_passes_at_most_once_and_never_late_or_early(asked):
    gate = CommandGate({})
    passed = []
    for command_id, ahead_s, clock_s in asked:
        now_ms = NOW_MS + 1000 * clock_s
        command = StopBleed(id=command_id, expires_at=from_ms(now_ms) + timedelta(seconds=ahead_s))
        refused = gate.admit(command, now_ms)
        if refused is None:
            assert 0 < ahead_s <= 3600
            assert command_id not in passed
            passed.append(command_id)
        gate = CommandGate(gate.seen())  # as after a restart
    assert KEPT_AFTER_EXPIRY_S >= 2 * 3600


codes = st.integers(0, 8)
cells = st.lists(
    st.tuples(st.floats(1.5, 2.6) | st.just(float("nan")), codes),
    min_size=1,
    max_size=12,
)


@st.composite
def facts(draw):
    values = draw(cells)
    current = draw(st.none() | st.floats(-200, 200))
    string_v = draw(st.none() | st.floats(0, 40))
    scalars = {}
    if draw(st.booleans()):
        scalars["current_a"] = current
    if draw(st.booleans()):
        scalars["string_v"] = string_v
    readings = readings_of(
        "s1",
        len(values),
        cell_v=np.array([volts for volts, _ in values]),
        quality=np.array([code for _, code in values], dtype=np.uint8),
        scalars=scalars,
        scalar_quality={name: draw(codes) for name in scalars},
    )
    age_s = draw(st.floats(-20, 60) | st.just(float("inf")))
    return StringFacts(draw(st.sampled_from([readings, readings, readings, None])), age_s, 2.25, 100.0)


@given(
    facts=facts(), mode=st.none() | st.sampled_from(["float", "rest", "discharge", "test", "unknown"]), data=st.data()
)
def test_no_duty_above_zero_on_stale_unknown_discharging_or_bad_cells(facts, mode, data):
    count = 1 if facts.readings is None else len(facts.readings.quality)
    wanted = data.draw(st.lists(st.integers(1, count + 1), min_size=1, unique=True))
    frac = data.draw(st.lists(st.sampled_from([0.0, 0.2, 1.0]), min_size=len(wanted), max_size=len(wanted)))
    situation = Situation({"s1": facts}, {} if mode is None else {"s1": mode})
    refused = may_bleed("s1", wanted, frac, situation)
    if refused is not None or not any(frac):
        assert refused is None or isinstance(refused, Refused)
        assert any(frac) or refused is None
        return
    readings = facts.readings
    assert readings is not None
    assert abs(facts.age_s) <= FRESH_S
    assert mode not in ("discharge", "test", "unknown")
    assert not (readings.scalars.get("current_a") or 0) < -1.0 or readings.scalar_quality["current_a"] != 0
    assert all(readings.quality[cell - 1] == 0 for cell, duty in zip(wanted, frac, strict=True) if duty > 0)


@given(facts=facts())
def test_a_neighbour_on_battery_forbids_and_unknown_never_allows(facts):
    state = on_battery(facts)
    allowed = may_disturb(["s1"], Situation({"s1": facts}, {})) is None
    assert allowed == (state == "no")
    floating = StringFacts(readings_of("s2"), 1.0, 2.25, 100.0)
    around = may_disturb(["s2"], Situation({"s2": floating, "s1": facts}, {}))
    assert (around is not None) == (state == "yes")


def test_an_empty_bus_is_unknown():
    refused = may_disturb([], Situation({}, {}))
    assert refused is not None
    assert refused.reason == "state_unknown"


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["grant", "due", "ended"]), st.sampled_from(["a", "b"]), st.floats(0.1, 20.0)),
        max_size=60,
    ),
    forbidden=st.sets(st.sampled_from(["a", "b"])),
)
def test_renewals_only_for_valid_holds_on_lines_without_an_unconfirmed_end(steps, forbidden):
    holds = BleedHolds({"a": frozenset({"l1", "l2"}), "b": frozenset({"l2"})})
    now_s, until_s, renewed_s, ending = 0.0, {}, {}, set()
    for what, string, span_s in steps:
        now_s += span_s
        if what == "grant":
            holds.grant(string, 60.0, now_s)
            until_s[string], renewed_s[string] = now_s + 60.0, now_s
            ending.discard(string)
        elif what == "ended":
            holds.ended(string)
            until_s.pop(string, None)
            ending.discard(string)
        else:
            due = holds.due(now_s, lambda name: name not in forbidden)
            ending |= {name for name, end_s in until_s.items() if end_s <= now_s or name in forbidden}
            until_s = {name: end_s for name, end_s in until_s.items() if name not in ending}
            assert set(due.zero) == ending
            for name in due.renew:
                assert name in until_s
                assert not ending  # both strings share l2
                renewed_s[name] = now_s
            if not ending:
                assert all(now_s - renewed_s[name] < RENEW_S for name in until_s)
