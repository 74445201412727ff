"""What becomes a row of balancing: what changes, milestones, and else one a minute."""

from datetime import timedelta

import pytest
from cellkeeper.testing.builders import START_MS, balance_of
from historian.balance_sieve import BalanceSieve


def kept(*states) -> list[bool]:
    sieve = BalanceSieve()
    return [sieve.keeps(state) for state in states]


def test_a_state_every_ten_seconds_is_a_row_a_minute():
    assert sum(kept(*(balance_of(START_MS + 10_000 * n) for n in range(60)))) == 10


def test_strings_are_kept_apart():
    assert kept(balance_of(START_MS), balance_of(START_MS, string="s2")) == [True, True]


@pytest.mark.parametrize(
    "changes",
    [{"phase": "discharge"}, {"inhibit": "paused"}, {"findings": [2]}, {"is_milestone": True},
     {"began_at": balance_of(START_MS).measured_at - timedelta(hours=1)}],
)  # fmt: skip
def test_what_changes_is_a_row_at_once(changes):
    assert kept(balance_of(START_MS), balance_of(START_MS + 10_000, **changes)) == [True, True]
    assert kept(balance_of(START_MS), balance_of(START_MS + 10_000, spread_v=0.001)) == [True, False]


def test_a_clock_that_was_set_back_does_not_stop_the_rows():
    assert kept(balance_of(START_MS), balance_of(START_MS - 3_600_000)) == [True, True]
