"""Says in few log lines that somebody sends messages that cannot be used.

Policy. The first refused message is told at once, with its topic and the reason. While more come, one summary a minute
says how many there were; a minute without any ends the burst, and the next message is told at once again. Every message
is counted, whatever the log says.
"""

import asyncio
from typing import Final

import structlog

SUMMARY_S: Final = 60.0  # real time
MAX_TOPIC: Final = 120  # what another machine sent ends up in here: bounded
MAX_WHY: Final = 200

log = structlog.get_logger()


class RefusalLog:
    """Counts refused messages and tells them in bursts; used on a running event loop.

    Args:
        summary_s: real seconds between two summaries.
    """

    def __init__(self, summary_s: float = SUMMARY_S) -> None:
        self.count = 0
        self._summary_s = summary_s
        self._untold = 0
        self._last = ("", "")
        self._timer: asyncio.TimerHandle | None = None

    def add(self, topic: str, why: str) -> None:
        """Take a message that was refused."""
        self.count += 1
        self._last = (topic[:MAX_TOPIC], why[:MAX_WHY])
        if self._timer is not None:
            self._untold += 1
            return
        log.warning("message.refused", topic=self._last[0], why=self._last[1])
        self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._summary_s, self._summarise)

    def _summarise(self) -> None:
        self._timer = None
        if not self._untold:
            return
        topic, why = self._last
        log.warning("message.still_refused", more=self._untold, in_all=self.count, last_topic=topic, last_why=why)
        self._untold = 0
        self._wait()
