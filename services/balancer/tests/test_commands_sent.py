"""What is asked of the gateway and when, what wishes hold, what came of it, and the loop of a string around them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from balancer.dispatch import ANSWER_S, REFUSED_WAIT_S, RENEW_S, Sent, SetPoints
from balancer.orders import Forced, Orders
from balancer.proof import FEWEST_SAMPLES, MAX_SAMPLES, Proof, follow
from balancer.string_loop import StringLoop
from cellkeeper.contract.commands import MAX_FORCE_S, ForceBleed
from cellkeeper.contract.physical import Quality
from core_room import LITHIUM, NOW_S, decided, ready, scan, view

NAN = math.nan
OFF = np.zeros(3)


def duties(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def running(*values: float, at_s: float = NOW_S) -> Sent:
    return Sent(duties(*values), at_s)


class TestSent:
    def test_a_change_is_sent_with_everything_that_runs(self):
        points, sent = running(0.5, 0.2, 0.0).next(duties(0.6, 0.21, 0.0), OFF, NOW_S + 1.0)
        assert points == SetPoints([1, 2], [0.6, 0.2])
        assert sent.is_open
        assert sent.duty.tolist() == [0.6, 0.2, 0.0]

    def test_what_is_not_worth_a_frame_waits(self):
        before = running(0.5, 0.0, 0.0)
        points, sent = before.next(duties(0.515, 0.015, 0.0), OFF, NOW_S + 1.0)
        assert points is None
        assert sent is before

    def test_the_end_of_a_bleed_always_is(self):
        points, _ = running(0.01, 0.0, 0.0).next(OFF, OFF, NOW_S + 1.0)
        assert points == SetPoints([1], [0.0])

    def test_it_is_renewed_in_time_and_not_when_nothing_runs(self):
        before = running(0.5, 0.0, 0.0)
        assert before.next(duties(0.5, 0.0, 0.0), OFF, NOW_S + RENEW_S - 1.0)[0] is None
        assert before.next(duties(0.5, 0.0, 0.0), OFF, NOW_S + RENEW_S)[0] == SetPoints([1], [0.5])
        assert running(0.0, 0.0, 0.0).next(duties(0.01, 0.0, 0.0), OFF, NOW_S + 1e4)[0] is None

    def test_who_knows_nothing_goes_by_what_modules_report(self):
        points, sent = Sent.unknown(3).next(duties(0.5, 0.0, 0.0), duties(0.0, 0.3, NAN), NOW_S)
        assert points == SetPoints([1, 2], [0.5, 0.0])
        points, sent = Sent.unknown(3).next(OFF, OFF, NOW_S)
        assert points is None
        assert not np.isnan(sent.duty).any()

    def test_who_refuses_is_not_hammered(self):
        refused = running(0.0, 0.0, 0.0).refused(NOW_S)
        assert refused.next(duties(0.5, 0.0, 0.0), OFF, NOW_S + 1.0)[0] is None
        assert refused.next(duties(0.5, 0.0, 0.0), OFF, NOW_S + REFUSED_WAIT_S)[0] == SetPoints([1], [0.5])

    def test_but_an_end_goes_out_at_once_and_alone(self):
        refused = running(0.5, 0.5, 0.0).refused(NOW_S)
        points, sent = refused.next(duties(0.9, 0.0, 0.5), duties(0.5, 0.5, 0.0), NOW_S + 1.0)
        assert points == SetPoints([2], [0.0])
        assert np.isnan(sent.duty).tolist() == [True, False, True]

    def test_a_clock_that_was_set_back_is_not_waited_for(self):
        refused = running(0.0, 0.0, 0.0).refused(NOW_S)
        assert refused.next(duties(0.5, 0.0, 0.0), OFF, NOW_S - 9e3)[0] is not None

    def test_an_answer_closes_and_silence_is_loss(self):
        _, sent = running(0.0, 0.0, 0.0).next(duties(0.5, 0.0, 0.0), OFF, NOW_S)
        assert not sent.is_lost(NOW_S + ANSWER_S)
        assert sent.is_lost(NOW_S + ANSWER_S + 1.0)
        assert not sent.applied().is_lost(NOW_S + 1e3)


class TestOrders:
    def force(self, orders: Orders, cells: list[int], frac: float, for_s: float, now_s: float = NOW_S) -> Orders:
        command = ForceBleed.model_construct(string="s1", cells=cells, bleed_frac=frac, for_s=for_s)
        return orders.force(command, now_s)

    def test_a_force_holds_until_its_time_is_over_and_zero_takes_it_back(self):
        orders = self.force(Orders(), [1, 3], 0.5, 600.0)
        assert orders.forced == {0: Forced(0.5, NOW_S + 600.0), 2: Forced(0.5, NOW_S + 600.0)}
        assert orders.at(NOW_S + 599.0) is orders
        assert orders.at(NOW_S + 600.0).forced == {}
        assert list(self.force(orders, [1], 0.0, 600.0).forced) == [2]
        assert list(self.force(orders, [1], 0.5, 0.0).forced) == [2]

    def test_a_later_force_keeps_what_still_runs(self):
        orders = self.force(self.force(Orders(), [1], 0.5, 60.0), [2], 0.5, 600.0, NOW_S + 61.0)
        assert list(orders.forced) == [1]

    def test_no_force_is_longer_than_four_hours_whatever_the_clock_does(self):
        orders = self.force(Orders(), [1], 0.5, 1e9)
        assert orders.forced[0].until_s == NOW_S + MAX_FORCE_S
        assert orders.at(NOW_S - 60.0).forced == {}

    def test_new_units_are_left_alone_until_their_time_is_over(self):
        orders = Orders(spared={0: NOW_S + 5.0, 1: NOW_S + 50.0})
        assert list(orders.at(NOW_S + 10.0).spared) == [1]

    def test_each_half_sees_its_own(self):
        orders = Orders(forced={3: Forced(0.5, NOW_S)}, spared={1: NOW_S})
        assert (list(orders.within(0, 2).forced), list(orders.within(0, 2).spared)) == ([], [1])
        assert (list(orders.within(2, 2).forced), list(orders.within(2, 2).spared)) == ([1], [])
        assert Orders().within(0, 2) == Orders().within(2, 2) == Orders()


def spread(mv: float, at_s: float = NOW_S, held_v: float = 3.42):
    """Return a scan of a string with this spread; its third unit is held out."""
    return view([3.42 + mv / 1000.0, 3.42, held_v, 3.42], at_s=at_s)


class TestProof:
    RULES = replace(LITHIUM, held_out=(2,))

    def after(self, proof: Proof, mv: float, at_s: float, **how) -> tuple[Proof, str | None]:
        at = spread(mv, at_s, **how)
        return follow(proof, decided(at, self.RULES, memory=ready(self.RULES, at_s=at_s - 10.0)), at, self.RULES)

    def run(self, mv_of: object, hours: float) -> tuple[Proof, list[str]]:
        proof, told = Proof(), []
        for step in range(round(hours * 360.0)):
            proof, milestone = self.after(proof, mv_of(step / 360.0), NOW_S + step * 10.0)  # type: ignore[operator]
            told += [milestone] if milestone else []
        return proof, told

    def test_a_run_begins_uneven_and_ends_even(self):
        proof, told = self.run(lambda h: 40.0 * 0.5**h, 4.0)
        assert told == ["began", "even"]
        assert proof.began_s is None
        assert proof.finish_s(self.RULES) is None

    def test_a_string_at_the_border_begins_nothing(self):
        assert self.run(lambda _: 5.9, 0.1)[1] == []

    def test_half_life_and_the_time_that_is_left(self):
        proof, _ = self.run(lambda h: 64.0 * 0.5 ** (h / 2.0), 4.0)
        assert proof.half_life_s == pytest.approx(7200.0, rel=0.01)
        assert proof.finish_s(self.RULES) == pytest.approx(2.0 * 7200.0, rel=0.02)
        assert proof.began_v == pytest.approx(0.064)

    def test_what_does_not_fall_has_no_half_life(self):
        proof, _ = self.run(lambda h: 40.0 + h, 2.0)
        assert proof.half_life_s is None
        assert proof.finish_s(self.RULES) is None
        assert Proof(samples=tuple((600.0 * n, 0.0) for n in range(FEWEST_SAMPLES))).half_life_s is None

    def test_only_time_in_which_it_may_be_balanced_counts(self):
        proof, _ = self.after(Proof(), 40.0, NOW_S)
        at = spread(40.0, NOW_S + 10.0)
        stopped = decided(replace(at, current_a=-9.0), self.RULES)
        proof, milestone = follow(proof, stopped, at, self.RULES)
        assert (proof.allowed_s, milestone) == (0.0, None)
        proof, _ = self.after(proof, 40.0, NOW_S + 20.0)
        assert proof.allowed_s == 10.0
        proof, _ = self.after(proof, 40.0, NOW_S + 5000.0)
        assert proof.allowed_s == 10.0

    def test_samples_are_bounded(self):
        samples = tuple((600.0 * n, 0.04) for n in range(MAX_SAMPLES))
        proof = Proof(began_s=NOW_S, began_v=0.04, allowed_s=600.0 * MAX_SAMPLES, samples=samples, at_s=NOW_S - 10.0)
        assert len(self.after(proof, 40.0, NOW_S)[0].samples) == MAX_SAMPLES

    def test_held_out_units_are_shown_beside(self):
        rules = replace(LITHIUM, held_out=(2, 3))
        at = view([3.42, 3.43, 3.50, 3.52])
        proof, _ = follow(Proof(), decided(at, rules), at, rules)
        assert proof.spread_v == pytest.approx(0.01)
        assert proof.held_out_v == pytest.approx(0.02)
        assert self.after(Proof(), 10.0, NOW_S)[0].held_out_v is None

    def test_without_two_units_there_is_no_spread(self):
        at = view([3.42, NAN, NAN, NAN])
        proof, milestone = follow(Proof(), decided(at, LITHIUM), at, LITHIUM)
        assert (proof.spread_v, milestone) == (None, None)

    def test_a_day_ends_at_midnight(self):
        midnight = math.ceil(NOW_S / 86_400.0) * 86_400.0
        proof, _ = self.after(Proof(), 3.0, midnight - 5.0)
        assert self.after(proof, 3.0, midnight + 5.0)[1] == "day"


class TestLoop:
    def scan(self, ms: int, v: list[float], **changes):
        return scan(measured_ms=round(NOW_S * 1000) + ms, cell_v=np.array(v), **changes)

    def loop(self, *packs) -> StringLoop:
        loop = StringLoop(packs)
        loop.memories = [ready(rules, rules.units) for rules in packs]
        return loop

    def test_a_scan_becomes_a_command(self):
        loop = self.loop(LITHIUM)
        turn = loop.on_scan(self.scan(0, [3.45, 3.44, 3.43, 3.42]), mode_forbids=False)
        assert turn.set_points == SetPoints([1, 2, 3], [1.0, 1.0, 1.0])
        assert turn.milestones == ["began"]
        assert loop.string == "s1"

    def test_a_scan_that_is_delivered_twice_changes_nothing(self):
        loop = self.loop(LITHIUM)
        loop.on_scan(self.scan(0, [3.45, 3.44, 3.43, 3.42]), mode_forbids=False)
        before = loop.memories
        turn = loop.on_scan(self.scan(0, [3.45, 3.44, 3.43, 3.42]), mode_forbids=False)
        assert (turn.set_points, list(turn.milestones)) == (None, [])
        assert loop.memories is before

    def test_a_mode_that_forbids_ends_what_runs(self):
        loop = self.loop(LITHIUM)
        loop.on_scan(self.scan(0, [3.45, 3.44, 3.43, 3.42]), mode_forbids=False)
        turn = loop.on_scan(self.scan(10_000, [3.45, 3.44, 3.43, 3.42]), mode_forbids=True)
        assert turn.set_points == SetPoints([1, 2, 3], [0.0, 0.0, 0.0])

    def test_a_command_without_an_answer_is_not_believed(self):
        loop = self.loop(LITHIUM)
        loop.on_scan(self.scan(0, [3.45, 3.44, 3.43, 3.42]), mode_forbids=False)
        loop.on_scan(self.scan(16_000, [3.45, 3.44, 3.43, 3.42]), mode_forbids=False)
        assert np.isnan(loop.sent.duty).all()

    def test_the_halves_of_a_bipolar_string_have_a_lowest_unit_each_and_one_command(self):
        first, second = replace(LITHIUM, units=2), replace(LITHIUM, first=2, units=2)
        loop = self.loop(first, second)
        quality = np.array([0, 0, 0, Quality.SILENT], np.uint8)
        turn = loop.on_scan(self.scan(0, [3.60, 3.59, 3.43, 3.42]), mode_forbids=False)
        assert turn.set_points == SetPoints([1, 3], [1.0, 1.0])
        turn = loop.on_scan(self.scan(10_000, [3.60, 3.59, 3.43, 3.42], quality=quality), mode_forbids=False)
        assert turn.set_points == SetPoints([1, 3], [1.0, 0.0])

    def test_a_person_has_looked(self):
        loop = self.loop(LITHIUM)
        findings = replace(loop.memories[0].findings, reason=np.full(4, 9, dtype=np.int8))
        loop.memories = [replace(loop.memories[0], findings=findings)]
        loop.forget_findings()
        assert not loop.memories[0].findings.reason.any()
