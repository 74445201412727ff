"""Late scans of the wire: from `backfill` into the catch-up, and what came of it to papers and log book."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog
from cellkeeper.contract.channels import BACKFILL
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.runtime.service import ServiceVoice
from cellkeeper.runtime.session import Incoming

from analytics.catching_up import CatchUp, Caught
from analytics.heard_scans import scan_of
from analytics.papers import Papers, ended_text

AT_ONCE: Final = 5  # scans of each string: some 15 ms, and live scans never wait for longer
EVERY_S: Final = 0.05  # real time

log = structlog.get_logger()


@dataclass(kw_only=True)
class LateScans:
    """Listens to `backfill` of a site.

    Attributes:
        site: id.
        catch_up: what follows them.
        voice: session and events.
        papers: for discharges that came to light.
        refusals: of payloads.
    """

    site: str
    catch_up: CatchUp
    voice: ServiceVoice
    papers: Papers
    refusals: RefusalLog

    def subscribe(self) -> None:
        """Ask for late scans."""
        self.voice.session.subscribe(BACKFILL.filter(site=self.site), self.on_scan, with_retained=False)

    def on_scan(self, message: Incoming) -> None:
        """Take a late scan; most of them were seen live, and cost no more than to be read."""
        if self.catch_up.is_idle:
            return
        scan = scan_of(message, BACKFILL, self.site, self.refusals)
        if scan is not None:
            self.catch_up.take_late(message.payload, scan, self._now_s())

    async def run(self) -> None:
        """Follow late scans, a few at a time, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            if not self.catch_up.is_idle:
                for caught in self.catch_up.step(AT_ONCE, self._now_s()):
                    self._tell(caught)

    def _tell(self, caught: Caught) -> None:
        log.info("scan.caught_up", string=caught.string, scans=caught.scans, records=len(caught.records))
        for record in caught.records:
            text = f"{ended_text(record)}; it came to light with {caught.scans} late scans"
            self.voice.event("discharge.ended", "info", text, string=record.string)
            self.papers.put(record)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
