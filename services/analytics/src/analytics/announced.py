"""Tests that a person or the BMS announced: which string, by what method, from when on, until when. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Final, Literal

type Over = Literal["asked", "discharged", "late"]

OVER_WORDS: Final[dict[Over, str]] = {
    "asked": "as {by} asked",
    "discharged": "its discharge is over",
    "late": "it was planned to be over by now; what goes on is taken for an outage",
}


@dataclass(frozen=True, slots=True)
class Announcement:
    """One announced discharge test.

    Attributes:
        string: id.
        method: in the words of who announced it.
        by: who did.
        from_s, until_s: event time; planned, it may be over sooner.
    """

    string: str
    method: str
    by: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A test that is announced no more, and why."""

    test: Announcement
    over: Over

    def words(self, by: str = "") -> str:
        """Return what the log book says."""
        return f"the announced test of {self.test.string} is over: {OVER_WORDS[self.over].format(by=by)}"


@dataclass(frozen=True, slots=True)
class AnnouncedTests:
    """The tests that are announced now, one of a string at most."""

    tests: tuple[Announcement, ...] = ()

    def of(self, string: str) -> Announcement | None:
        """Return the test of a string."""
        return next((test for test in self.tests if test.string == string), None)

    def begun(self, test: Announcement) -> "AnnouncedTests":
        """Return the tests with one more; the string has none."""
        return AnnouncedTests((*self.tests, test))

    def without(self, string: str) -> "AnnouncedTests":
        """Return the tests but that of one string."""
        return AnnouncedTests(tuple(test for test in self.tests if test.string != string))

    def late(self, at_s: Mapping[str, float]) -> tuple["AnnouncedTests", tuple[Ended, ...]]:
        """Return the tests that go on, and those that were planned to be over; `at_s` are scans by string."""
        return self._but([test.string for test in self.tests if at_s.get(test.string, nan) >= test.until_s], "late")

    def discharged(self, strings: Sequence[str]) -> tuple["AnnouncedTests", tuple[Ended, ...]]:
        """Return the tests that go on, and those of strings whose discharge is over."""
        return self._but(strings, "discharged")

    def _but(self, strings: Sequence[str], over: Over) -> tuple["AnnouncedTests", tuple[Ended, ...]]:
        gone = tuple(Ended(test, over) for test in self.tests if test.string in strings)
        return (AnnouncedTests(tuple(t for t in self.tests if t.string not in strings)), gone) if gone else (self, ())
