"""The retained topics of this gateway: shown again at each connect, cleared when their thing is gone.

What is shown is remembered in a small file before it is published, so that a string, module or device that `site.toml`
no longer has loses its topics at the next start, also after a change made while nothing ran, and after any end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from cellkeeper.contract.channels import AUX, CELL, DCBUS, MODULE, SITE_META, STRING_META, SUMMARY, Channel
from cellkeeper.runtime.session import Session
from cellkeeper.runtime.whole_file import whole_file

FLUSH_AT_ONCE: Final = 500  # of up to 4096 cleared cells: the link takes the rest with the next turn
FILE_VERSION: Final = 1
_PLACED: Final = ("modules", "aux")

type AnyChannel = Channel[Any]


@dataclass(slots=True)
class _Shown:
    payload: bytes
    qos: int
    expires_s: float | None


class RetainedBoard:
    """Newest payload of each retained topic (cells have their own view); what could not be sent is sent later."""

    def __init__(self, session: Session, stale_after_s: float) -> None:
        self._session = session
        self._stale_after_s = stale_after_s
        self._shown: dict[str, _Shown] = {}
        self._unsent: dict[str, None] = {}

    def show(self, channel: AnyChannel, topic: str, payload: bytes) -> None:
        """Publish a retained payload now, or as soon as the link takes it."""
        expires_s = self._stale_after_s if channel.lifetime == "expiring" else None
        self._shown[topic] = _Shown(payload, channel.qos, expires_s)
        self._unsent[topic] = None
        self._send(topic)

    def clear(self, topic: str) -> None:
        """Empty a retained topic now, or as soon as the link takes it."""
        self._shown[topic] = _Shown(b"", 1, None)
        self._unsent[topic] = None

    def link_up(self) -> None:
        """Show everything again: the broker may have started with nothing."""
        self._unsent |= dict.fromkeys(self._shown)
        self.flush()

    def flush(self) -> bool:
        """Send some of what waits; True when nothing waits any more."""
        for topic in list(self._unsent)[:FLUSH_AT_ONCE]:
            if not self._send(topic):
                break
        return not self._unsent

    def _send(self, topic: str) -> bool:
        shown = self._shown[topic]
        if not self._session.publish(topic, shown.payload, qos=shown.qos, retain=True, expires_s=shown.expires_s):
            return False
        del self._unsent[topic]
        if not shown.payload:
            del self._shown[topic]
        return True


@dataclass(slots=True)
class Shown:
    """What has topics: strings with their number of cells, dc buses, modules and AUX devices with their place.

    Attributes:
        leaving: topics of what is gone, until they are cleared.
    """

    site: str
    strings: dict[str, int] = field(default_factory=dict)
    dcbuses: list[str] = field(default_factory=list)
    modules: dict[str, tuple[str, int]] = field(default_factory=dict)
    aux: dict[str, tuple[str, int]] = field(default_factory=dict)
    writes_meta: bool = False
    leaving: dict[str, None] = field(default_factory=dict)

    def topics(self) -> Iterator[str]:
        """Yield every retained topic of these things, without those that are leaving."""
        if self.writes_meta:
            yield SITE_META.topic(site=self.site)
        for string, cells in self.strings.items():
            yield STRING_META.topic(site=self.site, string=string)
            yield SUMMARY.topic(site=self.site, string=string)
            for cell in range(1, cells + 1):
                yield CELL.topic(site=self.site, string=string, cell=cell)
        for dcbus in self.dcbuses:
            yield DCBUS.topic(site=self.site, dcbus=dcbus)
        for channel, serials in ((MODULE, self.modules), (AUX, self.aux)):
            for serial in serials:
                yield channel.topic(site=self.site, serial=serial)


class ShownFile:
    """The memory of what was shown, in one small file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, site: str) -> Shown:
        """Return what was shown by earlier runs; nothing when there is no file that can be read."""
        try:
            body = orjson.loads(self._path.read_bytes())
            if body["version"] != FILE_VERSION:
                return Shown(site)
            places = {
                name: {serial: (bus, address) for serial, (bus, address) in body[name].items()} for name in _PLACED
            }
            leaving = dict.fromkeys(body.get("leaving", ()))  # not in files of before 2026-11-26
            return Shown(
                body["site"],
                body["strings"],
                body["dcbuses"],
                **places,
                writes_meta=body["writes_meta"],
                leaving=leaving,
            )
        except (OSError, ValueError, KeyError, TypeError):
            return Shown(site)

    def write(self, shown: Shown) -> bool:
        """Replace the file; False when the disk did not take it (it is written again at the next change)."""
        body = {
            "version": FILE_VERSION,
            "site": shown.site,
            "strings": shown.strings,
            "dcbuses": shown.dcbuses,
            "modules": shown.modules,
            "aux": shown.aux,
            "writes_meta": shown.writes_meta,
            "leaving": list(shown.leaving),
        }
        try:
            with whole_file(self._path) as file:
                file.write(orjson.dumps(body))
        except OSError:
            return False
        return True
