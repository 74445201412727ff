"""What people and the BMS may tell the analytics: tests that begin and end, cells that changed places.

Nothing here switches anything: a test is named, its load comes from elsewhere.
"""

from dataclasses import dataclass
from typing import Final

from cellkeeper.contract.commands import AnnounceTest, EndTest, ExchangeCells
from cellkeeper.contract.moment import format_ms, to_ms
from cellkeeper.contract.outcomes import Applied, Outcome, Refused
from cellkeeper.runtime.answering import Asked
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.service import ServiceVoice

from analytics.analytics import Analytics
from analytics.announced import AnnouncedTests, Announcement, Ended
from analytics.errors import NotKeptError

NOT_SAVED: Final = "the disk does not take it, so it would be forgotten by a restart; make room"


@dataclass(kw_only=True)
class Requests:
    """Does what is asked, writes it down before it is confirmed, and tells the log book who asked."""

    analytics: Analytics
    clock: Clock
    voice: ServiceVoice

    async def act(self, asked: Asked) -> Outcome:
        """Do one admitted command and return how it ended."""
        command = asked.command
        strings = self.analytics.engine.layout.strings
        for name in ("string", "other_string"):
            string = getattr(command, name, None)
            if string is not None and string not in strings:
                return Refused(reason="unknown_target", detail=f"there are {', '.join(strings)}")
        match command:
            case AnnounceTest():
                return await self._announce(command, asked.issuer)
            case EndTest():
                return await self._end(command, asked.issuer)
            case ExchangeCells():
                return self._exchange(command, asked.issuer)
        raise AssertionError(command)  # the desk lets nothing else through

    async def _announce(self, command: AnnounceTest, by: str) -> Outcome:
        announced = self.analytics.engine.announced
        running = announced.of(command.string)
        if running is not None:
            until = format_ms(round(running.until_s * 1000.0))
            detail = f"{running.method}, announced by {running.by}, runs until {until}; end it first"
            return Refused(reason="in_test", detail=detail)
        now_s = self._now_s()
        test = Announcement(command.string, command.method, by, now_s, now_s + command.planned_s)
        if not await self._kept(announced.begun(test)):
            return Refused(reason="busy", detail=NOT_SAVED)
        until = format_ms(round(test.until_s * 1000.0))
        text = f"a discharge test of {test.string} is announced until {until} at most, as {by} asked: {test.method}"
        self.voice.event("test.announced", "info", text, string=test.string, by=by)
        return Applied()

    async def _end(self, command: EndTest, by: str) -> Outcome:
        announced = self.analytics.engine.announced
        running = announced.of(command.string)
        if running is None:
            return Refused(reason="unknown_target", detail=f"no test of {command.string} is announced")
        if not await self._kept(announced.without(command.string)):
            return Refused(reason="busy", detail=NOT_SAVED)
        self.voice.event("test.ended", "info", Ended(running, "asked").words(by), string=command.string, by=by)
        return Applied()

    async def _kept(self, announced: AnnouncedTests) -> bool:
        """Take which tests are announced; False, and nothing changed, when the disk does not take it."""
        engine, before = self.analytics.engine, self.analytics.engine.announced
        engine.take_tests(announced)
        if await self.analytics.save():
            return True
        engine.take_tests(before)
        return False

    def _exchange(self, command: ExchangeCells, by: str) -> Outcome:
        one = command.string, command.cell
        other = command.other_string or command.string, command.other_cell
        if one == other:
            return Refused(reason="out_of_range", detail="two different places are needed")
        book = self.analytics.book
        missing = [place for place in (one, other) if not self._has(place)]
        if missing:
            return Refused(reason="unknown_target", detail=f"{missing[0][0]} has no cell {missing[0][1]}")
        now_s = self._now_s()
        at_s = now_s if command.happened_at is None else to_ms(command.happened_at) / 1000.0
        if at_s > now_s:
            return Refused(reason="out_of_range", detail="happened_at lies ahead")
        try:
            refused = book.exchange(one, other, at_s, by)
        except NotKeptError:
            return Refused(reason="busy", detail=NOT_SAVED)
        if refused is not None:
            return Refused(reason="out_of_range", detail=refused.text)
        self.analytics.follow_cells()
        return Applied()

    def _has(self, place: tuple[str, int]) -> bool:
        layout = self.analytics.engine.layout
        span = layout.span(layout.strings.index(place[0]))
        return bool(place[1] <= span.stop - span.start)

    def _now_s(self) -> float:
        return self.clock.now_ms() / 1000.0
