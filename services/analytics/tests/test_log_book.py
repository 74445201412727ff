"""What a log book holds of the estimates: what begins and ends, once, with the numbers and what to do."""

from dataclasses import replace

import numpy as np
from analytics.engine import Engine
from analytics.estimates import Estimates
from analytics.estimating import Memory
from analytics.log_book import LogBook
from analytics.soh.finding import CapacityFinding
from test_estimating import ONE, scan


class Written:
    """A voice that writes down."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def event(self, kind: str, severity: str, text: str, *, string: str | None = None) -> None:
        assert string == "s1"
        self.events.append((kind, severity, text))

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]


def told(seconds: int = 30) -> Estimates:
    engine = Engine(ONE, Memory.empty(ONE))
    for n in range(seconds):
        found = engine.follow(scan(ONE, n))
    return found


def finding(frac: float, why: str) -> CapacityFinding:
    units = np.full(8, frac)
    return CapacityFinding("s1", 1.8e9, "partial_discharge", why, np.nan, np.nan, units, units * 0.02)


def test_what_stays_is_told_once():
    voice, now = Written(), told()
    book = LogBook(ONE.layout, voice)
    doubted = replace(now, doubts=(("no_current",),))
    assert not book.tell(None, now)
    book.tell(now, doubted)
    book.tell(doubted, now)
    book.tell(now, doubted)
    assert voice.kinds() == ["estimate.no_current"], "a sensor that comes and goes fills no log book"
    book.tell(doubted, replace(doubted, at_s=doubted.at_s + 90_000.0))
    assert voice.kinds() == ["estimate.no_current"] * 2, "a day later it is news again"


def test_one_discharge_is_one_entry_on_capacity():
    voice, now = Written(), told()
    book = LogBook(ONE.layout, voice)
    reasons = ("too short", "charged at once", "too short")
    nothing = [finding(np.nan, f"not proven: {why}") for why in reasons]
    assert book.tell(now, replace(now, findings=tuple(nothing)))
    assert voice.events == [
        ("estimate.not_proven", "info", "a discharge of s1 proves no capacity: too short; charged at once")
    ]
    book.tell(now, replace(now, findings=(nothing[0], finding(0.93, "between two rests"))))
    kind, _, text = voice.events[-1]
    assert kind == "estimate.capacity"
    assert "8 units of s1" in text
    assert "93.0% at cell 1" in text


def test_an_impedance_that_rose_is_told_with_its_units():
    voice, now = Written(), told()
    book = LogBook(ONE.layout, voice)
    state, own = now.units.r_state.copy(), now.units.r_own_frac.copy()
    state[2], own[2] = 3, 1.41
    risen = replace(now, units=replace(now.units, r_state=state, r_own_frac=own))
    book.tell(now, risen)
    book.tell(risen, risen)
    assert [(kind, severity) for kind, severity, _ in voice.events] == [("impedance.risen", "warning")]
    assert "cell 3 (1.41)" in voice.events[0][2]


def test_a_discharge_that_was_told_before_the_start_is_not_told_again():
    voice = Written()
    engine = Engine(ONE, Memory.empty(ONE))
    for n in range(60):
        at_float = engine.follow(scan(ONE, n))
    for n in range(10):
        loaded = engine.follow(scan(ONE, 60 + n, 1.98, 20.0))
    LogBook(ONE.layout, voice, frozenset({0})).tell(None, loaded)
    assert voice.kinds() == []
    assert LogBook(ONE.layout, voice).tell(at_float, loaded)
    assert voice.kinds() == ["discharge.began"]
    assert "1.98" in voice.events[0][2]
