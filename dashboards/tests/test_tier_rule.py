"""The condition inside each query and the rule in Python say the same, and one tier always answers."""

import re

import pytest
from cellkeeper.contract.series import DAY_MS, FULL, TIERS
from dashboards.rehearsal import filled_in
from dashboards.tier_rule import ALL_TIERS, CHOICES, Scope, View, chosen, guard
from hypothesis import given
from hypothesis import strategies as st

NOW_MS = 1_795_237_200_000
LENGTH = st.one_of(
    st.integers(1, 4000 * DAY_MS), st.sampled_from([limit for scope in Scope for limit in scope.value if limit])
)


def holds(condition: str, view: View, tier: str) -> bool:
    """Evaluate a condition as InfluxDB does, from its text."""
    text = filled_in(condition, view, {"tier": tier})
    text = re.sub(r"now\(\) - (\d+)d", lambda m: str(view.now_ms - int(m[1]) * DAY_MS), text)
    text = re.sub(r"'\d{4}-[^']+Z'", str(view.from_ms), text)
    text = text.replace(" AND ", " and ").replace(" OR ", " or ")
    text = re.sub(r"('\w+') = ('\w+')", r"\1 == \2", text)
    return bool(eval(text, {"__builtins__": {}}))


@given(
    scope=st.sampled_from(Scope),
    sources=st.sampled_from([ALL_TIERS, TIERS, TIERS[1:], (FULL, TIERS[-1])]),
    length_ms=LENGTH,
    age_ms=st.integers(0, 5000 * DAY_MS),
)
def test_exactly_the_chosen_tier_answers(scope, sources, length_ms, age_ms):
    view = View(NOW_MS - age_ms - length_ms, NOW_MS - age_ms, NOW_MS)
    answering = [tier for tier in sources if holds(guard(scope, sources, tier), view, "auto")]
    assert answering == [chosen(scope, sources, view)]


@pytest.mark.parametrize("wanted", CHOICES[1:])
def test_a_person_may_overrule_the_rule(wanted):
    view = View(NOW_MS - 400 * DAY_MS, NOW_MS, NOW_MS)
    answering = [tier.name for tier in ALL_TIERS if holds(guard(Scope.ONE, ALL_TIERS, tier), view, wanted)]
    assert answering == [wanted]


def test_limits_grow_from_tier_to_tier():
    for scope in Scope:
        assert list(scope.value) == sorted(scope.value)
        assert len(scope.value) == len(ALL_TIERS) - 1
