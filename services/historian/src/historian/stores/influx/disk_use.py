"""How large history is on an InfluxDB: what the server says of its shards on its page of metrics, or unknown."""

import re
import threading
from collections.abc import Callable
from typing import Final

from cellkeeper.contract.series import FULL, LOG, TIERS

from historian.errors import HistorianError
from historian.stores.influx.server import Server

LOOK_EVERY_MS: Final = 60_000  # the page of a site with years is half a megabyte
_SHARD: Final = re.compile(
    r'^storage_(?:wal_size|tsm_files_disk_bytes)\{bucket="(?P<bucket>\w+)",[^}]*\} (?P<bytes>[0-9.e+]+)$', re.MULTILINE
)


class DiskUse:
    """Bytes of all buckets of a database: values and write-ahead log, without the index.

    Args:
        server: is asked.
        now_ms: real time.
    """

    def __init__(self, server: Server, now_ms: Callable[[], int]) -> None:
        self._server, self._now_ms = server, now_ms
        self._lock = threading.Lock()
        self._looked_ms: int | None = None
        self._bytes: int | None = None

    @property
    def bytes(self) -> int | None:
        """What was found last; None when the server does not say."""
        with self._lock:
            return self._bytes

    def look(self) -> None:
        """Ask, when it is time; never raises because of the server."""
        now_ms = self._now_ms()
        if self._looked_ms is not None and 0 <= now_ms - self._looked_ms < LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        try:
            found = self._found()
        except HistorianError:
            found = None  # its page of metrics may be switched off; that it is away is told by those who need it
        with self._lock:
            self._bytes = found

    def _found(self) -> int | None:
        target = self._server.target
        # By name: the server cuts a list of all buckets into pages before it hides those that are not ours.
        names = [f"{target.database}/{tier}" for tier in (FULL.name, *(tier.name for tier in TIERS), LOG)]
        found = [self._server.manage("GET", "/api/v2/buckets", org=target.org, name=name)["buckets"] for name in names]
        ours = {bucket["id"] for buckets in found for bucket in buckets}
        sizes = [float(shard["bytes"]) for shard in _SHARD.finditer(self._server.metrics()) if shard["bucket"] in ours]
        return int(sum(sizes)) if sizes else None
