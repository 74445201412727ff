"""Receipts never run ahead, never stand still for ever, and count every scan once: properties over any arrival."""

from dataclasses import dataclass, field
from itertools import pairwise

from cellkeeper.testing.builders import scan_of
from historian.intake import Intake, intake_of
from historian.receipts import Positions, Receipt, ReceiptPace, StreamBook
from historian.seq_spans import SeqSpans
from historian.stores.port import WriteBatch
from hypothesis import given
from hypothesis import strategies as st

NOW_MS = 1_795_300_000_000


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)), max_size=30), st.integers(0, 70), st.integers(0, 70))
def test_spans_are_the_set_of_their_numbers(added: list[tuple[int, int]], first: int, last: int):
    spans, numbers = SeqSpans(), set()
    for start, length in added:
        spans.add(start, start + length - 1)
        numbers |= set(range(start, start + length))
    assert {n for a, b in spans for n in range(a, b + 1)} == numbers
    assert all(a <= b for a, b in spans)
    ends = list(spans)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(ends))
    assert all((n in spans) == (n in numbers) for n in range(75))
    assert {n for a, b in spans.missing(first, last) for n in range(a, b + 1)} == set(range(first, last + 1)) - numbers
    covered = spans.covered_to()
    assert set(range(covered + 1)) <= numbers
    assert covered + 1 not in numbers or covered == -1
    assert SeqSpans(spans) == spans == spans.copy()


@dataclass
class Desk:
    """A store in memory and an intake in front of it; `restart` keeps only what was durable."""

    rows: list[tuple[str, int]] = field(default_factory=list)
    books: dict[str, StreamBook] = field(default_factory=dict)
    intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def positions(self) -> Positions:
        return {"s1": self.books} if self.books else {}

    def restart(self) -> None:
        self.intake = intake_of(self.positions(), {}, lambda _: None)

    def commit(self, batch: WriteBatch) -> None:
        for span in batch.lost:
            self.books.setdefault(span.stream, StreamBook()).accounted.add(span.first, span.last)
        for lived in batch.scans:
            self.rows.append((lived.scan.stream, lived.scan.seq))
            self.books.setdefault(lived.scan.stream, StreamBook()).store(lived.scan.seq, lived.scan.seq)


def scans(arrivals: list[tuple[str, int]], oldest_seq: int = 1) -> list:
    return [scan_of(stream=stream, seq=seq, oldest_seq=oldest_seq) for stream, seq in arrivals]


ARRIVALS = st.lists(st.tuples(st.sampled_from(["a1", "b2"]), st.integers(1, 25)), min_size=1, max_size=80)


@given(ARRIVALS, st.data())
def test_any_order_duplicates_and_restarts_store_each_scan_once_and_receipts_stay_behind(
    arrivals: list[tuple[str, int]], data: st.DataObject
):
    desk = Desk()
    at = 0
    while at < len(arrivals):
        size = data.draw(st.integers(1, 8))
        intaken = desk.intake.take(scans(arrivals[at : at + size]), NOW_MS)
        fate = data.draw(st.sampled_from(["done", "done", "crash_before_commit", "crash_after_commit"]))
        if fate == "crash_before_commit":
            desk.restart()  # the gateway sends the same again
            continue
        desk.commit(intaken.batch)
        at += size
        if fate == "crash_after_commit":
            desk.restart()
            continue
        for receipt in desk.intake.done(intaken):
            durable = {seq for stream, seq in desk.rows if stream == receipt.stream}
            assert set(range(1, receipt.seq + 1)) <= durable
    assert sorted(desk.rows) == sorted(set(arrivals))
    for receipt in desk.intake.receipts.standing():
        durable = {seq for stream, seq in desk.rows if stream == receipt.stream}
        assert set(range(1, receipt.seq + 1)) <= durable
        assert receipt.seq + 1 not in durable


@given(st.permutations(range(1, 31)), st.integers(1, 10))
def test_when_everything_has_arrived_the_receipt_covers_everything(order: list[int], size: int):
    desk = Desk()
    last = -1
    for first in range(0, 30, size):
        intaken = desk.intake.take(scans([("a1", seq) for seq in order[first : first + size]]), NOW_MS)
        desk.commit(intaken.batch)
        for receipt in desk.intake.done(intaken):
            assert receipt.seq > last
            last = receipt.seq
    assert last == 30
    assert len(desk.intake.receipts.standing()) == 1


def test_what_the_gateway_dropped_is_told_once_and_passed_over():
    desk = Desk()
    for first, oldest in ((1, 1), (2, 1), (10, 8), (11, 8)):
        intaken = desk.intake.take(scans([("a1", first)], oldest), NOW_MS)
        desk.commit(intaken.batch)
        desk.intake.done(intaken)
        lost = [notice.text for notice in intaken.notices if notice.kind == "scan.lost"]
        assert len(lost) == (first == 10)
        assert all("5 scans of stream a1 (3 to 7)" in text for text in lost)
    assert [receipt.seq for receipt in desk.intake.receipts.standing()] == [7]
    desk.restart()
    intaken = desk.intake.take(scans([("a1", 8), ("a1", 9)], 8), NOW_MS)
    desk.commit(intaken.batch)
    assert [receipt.seq for receipt in desk.intake.done(intaken)] == [11]
    assert not intaken.notices


def test_a_number_told_as_lost_that_comes_after_all_is_stored():
    desk = Desk()
    for arrival, oldest in ((("a1", 5), 5), (("a1", 3), 1)):
        intaken = desk.intake.take(scans([arrival], oldest), NOW_MS)
        desk.commit(intaken.batch)
        desk.intake.done(intaken)
    assert desk.rows == [("a1", 5), ("a1", 3)]


def test_a_stream_that_begins_with_one_has_lost_nothing():
    desk = Desk()
    intaken = desk.intake.take(scans([("a1", 1)]), NOW_MS)
    desk.commit(intaken.batch)
    assert not intaken.notices
    assert [receipt.seq for receipt in desk.intake.done(intaken)] == [1]


def test_a_stream_whose_beginning_nobody_can_send_is_a_loss():
    intaken = Desk().intake.take(scans([("a1", 50)], 40), NOW_MS)
    assert "39 scans of stream a1 (1 to 39)" in intaken.notices[0].text


def test_a_repeated_scan_gets_its_receipt_again_for_the_gateway_has_not_seen_it():
    desk = Desk()
    for arrivals in ([("a1", 1), ("a1", 2)], [("b2", 1)]):
        intaken = desk.intake.take(scans(arrivals), NOW_MS)
        desk.commit(intaken.batch)
        desk.intake.done(intaken)
    intaken = desk.intake.take(scans([("b2", 2), ("a1", 2)]), NOW_MS)
    assert [(receipt.stream, receipt.seq) for receipt in desk.intake.done(intaken)] == [("a1", 2), ("b2", 2)]


def test_rows_of_the_future_are_set_aside_with_one_event_but_receipted():
    desk = Desk()
    ahead = NOW_MS + 6 * 60_000
    intaken = desk.intake.take([scan_of(seq=n, measured_ms=ahead + n) for n in (1, 2)], NOW_MS)
    assert [aside.reason for aside in intaken.batch.aside] == ["future", "future"]
    assert [notice.kind for notice in intaken.notices] == ["scan.future"]
    assert [receipt.seq for receipt in desk.intake.done(intaken)] == [2]
    again = desk.intake.take([scan_of(seq=3, measured_ms=ahead)], NOW_MS + 1000)
    assert not again.notices
    later = desk.intake.take([scan_of(seq=3, measured_ms=ahead + 700_000)], NOW_MS + 700_000)
    assert len(later.notices) == 1


def test_a_clock_of_ours_that_is_behind_sets_nothing_aside():
    desk = Desk()
    desk.intake.newest_ms["s1"] = NOW_MS
    intaken = desk.intake.take([scan_of(seq=1, measured_ms=NOW_MS + 1000)], NOW_MS - 365 * 86_400_000)
    assert len(intaken.batch.scans) == 1


def test_rows_older_than_what_is_kept_are_set_aside():
    intake = intake_of({}, {}, lambda _: NOW_MS - 1000)
    intaken = intake.take([scan_of(seq=1, measured_ms=NOW_MS - 1001), scan_of(seq=2, measured_ms=NOW_MS - 999)], NOW_MS)
    assert [aside.reason for aside in intaken.batch.aside] == ["too_old"]
    assert len(intaken.batch.scans) == 1


def test_open_gaps_are_counted():
    desk = Desk()
    intaken = desk.intake.take(scans([("a1", 1), ("a1", 5), ("a1", 9), ("b2", 4)]), NOW_MS)
    desk.intake.done(intaken)
    assert desk.intake.receipts.open_gaps() == 3


def test_a_string_that_moves_one_by_one_is_told_of_each_second_scan_and_a_single_one_after_a_while():
    pace = ReceiptPace(hold_s=1.5)
    told = [[r.seq for r in pace.offer([Receipt("s1", "b7f2", seq)], float(seq))] for seq in range(1, 7)]
    assert told == [[1], [], [3], [], [5], []]
    assert pace.holds
    assert pace.overdue(6.4) == []
    assert pace.overdue(6.5) == [Receipt("s1", "b7f2", 6)]
    assert not pace.holds


def test_a_string_that_catches_up_or_sends_again_is_told_at_once():
    pace = ReceiptPace(hold_s=1.5)
    for seq in (1, 40, 40, 42):
        assert pace.offer([Receipt("s1", "b7f2", seq)], 0.0) == [Receipt("s1", "b7f2", seq)]
    one_more, other = Receipt("s1", "b7f2", 43), Receipt("s1", "c0de", 1)
    assert pace.offer([one_more, other], 0.1) == [other]
    pace.gave(one_more, 0.2)
    assert not pace.holds
