"""What is sent again, as a simulated world of lossy links and late receipts."""

from bus_gateway.journal.book import Entry, JournalBook, StreamKey
from bus_gateway.uplink.backfill import LIVE_S, SETTLE_S, WINDOW, Backfill
from hypothesis import given, settings
from hypothesis import strategies as st

KEY = StreamKey("s1", "aaaa")


def book_with(seqs):
    book = JournalBook()
    entry = Entry(1)
    book.entries.append(entry)
    for seq in seqs:
        book.enter(entry, KEY, seq, 1000 * seq)
    return book, entry


def store(book, backfill, seq, now_s):
    assert book.cover(KEY, seq)
    backfill.receipt(KEY, now_s)


def test_what_went_live_waits_and_what_did_not_goes_at_once():
    book, _ = book_with(range(1, 6))
    backfill = Backfill(book)
    backfill.link_up(0.0)
    now_s = SETTLE_S + 0.1
    for seq in (3, 4, 5):
        backfill.published_live(KEY, seq, now_s)
    assert backfill.wanted(now_s) == {KEY: (1, 1)}
    backfill.sent(KEY, 1, now_s)
    assert backfill.wanted(now_s) == {}, "the probe is under way"
    store(book, backfill, 1, now_s)
    assert backfill.wanted(now_s) == {KEY: (2, 2)}, "what went live is not sent again"
    backfill.sent(KEY, 2, now_s)
    store(book, backfill, 2, now_s)
    assert backfill.wanted(now_s) == {}
    assert backfill.wanted(now_s + LIVE_S + 0.1) == {KEY: (3, 5)}


def test_the_window_opens_with_each_receipt():
    book, _ = book_with(range(1, 2001))
    backfill = Backfill(book)
    backfill.link_up(0.0)
    now_s, sizes, seen = 2.0, [], []
    while book.covered_to(KEY) < 2000:
        first, last = backfill.wanted(now_s)[KEY]
        sizes.append(last - first + 1)
        for seq in range(first, last + 1):
            backfill.sent(KEY, seq, now_s)
            seen.append(seq)
        now_s += 0.2
        store(book, backfill, last, now_s)
    assert sizes[:5] == [1, 2, 4, 8, 16]
    assert max(sizes) == WINDOW
    assert seen == list(range(1, 2001)), "in order, none twice"


def test_while_nobody_stores_only_the_probe_is_sent_again_and_at_once_when_the_historian_is_back():
    book, _ = book_with(range(1, 2001))
    backfill = Backfill(book)
    backfill.link_up(0.0)
    now_s = 2.0
    assert backfill.wanted(now_s) == {KEY: (1, 1)}
    backfill.sent(KEY, 1, now_s)
    assert backfill.wanted(now_s + 5.0) == {}
    backfill.receipt_repeated(KEY, now_s + 5.0)
    assert backfill.wanted(now_s + 5.0) == {KEY: (1, 1)}


def test_receipts_that_the_broker_keeps_are_no_sign_of_life():
    book, _ = book_with([1, 2])
    backfill = Backfill(book)
    backfill.link_up(100.0)
    backfill.receipt_repeated(KEY, 100.1)
    assert backfill.wanted(100.0 + SETTLE_S) == {KEY: (1, 1)}
    backfill.sent(KEY, 1, 100.0 + SETTLE_S)
    backfill.receipt_repeated(KEY, 100.1 + SETTLE_S)
    assert backfill.wanted(100.2 + SETTLE_S) == {}, "sent but a moment ago"


def test_nothing_is_sent_before_the_retained_receipts_can_have_come():
    book, _ = book_with([1])
    backfill = Backfill(book)
    assert backfill.wanted(100.0) == {}
    backfill.link_up(100.0)
    assert backfill.wanted(100.0 + SETTLE_S / 2) == {}
    assert backfill.wanted(100.0 + SETTLE_S) == {KEY: (1, 1)}


def test_without_receipts_it_only_probes():
    book, _ = book_with(range(1, 2001))
    backfill = Backfill(book)
    backfill.link_up(0.0)
    sent, now_s = 0, 2.0
    for _ in range(3600):
        now_s += 1.0
        for key, (first, last) in backfill.wanted(now_s).items():
            assert last == first
            for seq in range(first, last + 1):
                backfill.sent(key, seq, now_s)
                sent += 1
    assert sent < 3600 / 60 + 10


WORLD = st.lists(
    st.tuples(
        st.sampled_from(["scan", "scan", "scan", "pump", "pump", "receipt", "relink", "historian"]),
        st.floats(0.05, 8.0),
    ),
    max_size=150,
)


@settings(max_examples=150, deadline=None)
@given(world=WORLD)
def test_every_seq_is_stored_in_the_end(world):  # noqa: C901  # a world in one place reads better
    """Links lose, the historian comes and goes; at the end, with both there, everything is stored."""
    book, entry = book_with([])
    backfill = Backfill(book)
    backfill.link_up(0.0)
    stored, up, recording, now_s, seq = set(), True, True, 5.0, 0

    def pump():
        for key, (first, last) in backfill.wanted(now_s).items():
            for each in range(first, last + 1):
                assert each > book.covered_to(key)
                backfill.sent(key, each, now_s)
                if up and recording:
                    stored.add(each)

    def receipt():
        up_to = book.covered_to(KEY)
        while up_to + 1 in stored:
            up_to += 1
        if book.cover(KEY, up_to):
            backfill.receipt(KEY, now_s)

    for what, span_s in world:
        now_s += span_s
        match what:
            case "scan":
                seq += 1
                book.enter(entry, KEY, seq, 0)
                if up:
                    backfill.published_live(KEY, seq, now_s)
                    stored.update({seq} if recording else ())
            case "pump":
                pump()
            case "receipt":
                receipt()
            case "relink":
                up = not up
                if up:
                    backfill.link_up(now_s)
            case "historian":
                recording = not recording
    up = recording = True
    backfill.link_up(now_s)
    for _ in range(400):
        now_s += 1.0
        pump()
        receipt()
    assert stored == set(range(1, seq + 1))
    assert book.oldest_seq(KEY) is None
