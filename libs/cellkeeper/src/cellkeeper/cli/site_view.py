"""What is known of a site from its topics, newest first: the state behind `watch` and the demo's status line.

Messages go in with the time of their arrival; nothing here asks a clock. Times called `now_s` and `seen_s` are seconds
of one monotonic clock.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.channels import (
    BACKFILL,
    BALANCE,
    ESTIMATE,
    EVENT,
    MODE,
    PRESENCE,
    SCAN,
    SITE_META,
    STORED,
    STRING_META,
    SUMMARY,
)
from cellkeeper.contract.estimate_state import StringEstimate
from cellkeeper.contract.notices import Event, Presence
from cellkeeper.contract.scan_columns import ScanColumns, decode_scan
from cellkeeper.contract.telemetry import SiteMeta, StoredReceipt, StringMeta, StringMode, StringSummary
from cellkeeper.contract.wire import PayloadRefusedError, decode

READ: Final = (SITE_META, STRING_META, SCAN, BACKFILL, STORED, SUMMARY, MODE, ESTIMATE, BALANCE, EVENT, PRESENCE)
"""The channels this view is made of."""
MAX_STRINGS: Final = 512  # what a broker tells is bounded here; a site of 512 strings has 262 144 units
MAX_SERVICES: Final = 64
RATE_SCANS: Final = 20
TREND_SCANS: Final = 240
MAX_EVENTS: Final = 200


@dataclass(slots=True)
class StringView:
    """One string as far as it has spoken."""

    name: str
    meta: StringMeta | None = None
    summary: StringSummary | None = None
    mode: StringMode | None = None
    balance: BalanceState | None = None
    estimate: StringEstimate | None = None
    scan: ScanColumns | None = None
    seen_s: float | None = None
    scans: int = 0
    backfilled: int = 0
    missing: int = 0
    stored: StoredReceipt | None = None
    arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_SCANS))
    current_trend_a: deque[float | None] = field(default_factory=lambda: deque(maxlen=TREND_SCANS))
    quality_since_ms: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def cells(self) -> int:
        """Number of units, from the newest source that knows."""
        if self.scan is not None:
            return self.scan.cells
        if self.meta is not None:
            return self.meta.cells
        return self.summary.cells if self.summary is not None else 0

    def age_s(self, now_s: float) -> float | None:
        """Return real seconds since the newest live scan arrived; None when none has."""
        return None if self.seen_s is None else max(0.0, now_s - self.seen_s)

    def rate_per_s(self, now_s: float) -> float:
        """Return scans per real second; falls while none come."""
        if len(self.arrivals_s) < 2:
            return 0.0
        span_s = self.arrivals_s[-1] - self.arrivals_s[0]
        steps = len(self.arrivals_s) - 1
        typical_s = span_s / steps
        silent_s = now_s - self.arrivals_s[-1]
        return steps / (span_s + max(0.0, silent_s - typical_s)) if span_s > 0.0 else 0.0

    def not_stored(self) -> int | None:
        """Return how many scans wait for their receipt; None while there is no receipt of this stream."""
        if self.scan is None or self.stored is None or self.stored.stream != self.scan.stream:
            return None
        return max(0, self.scan.seq - self.stored.seq)


@dataclass(slots=True)
class SiteView:
    """Everything that the topics of one site have told."""

    site: str
    meta: SiteMeta | None = None
    strings: dict[str, StringView] = field(default_factory=dict)
    services: dict[str, Presence] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    events_seen: int = 0
    refused: int = 0
    linked: bool = False

    def take(self, topic: str, payload: bytes, now_s: float) -> None:
        """Take one message of a channel in `READ`; what is not readable is counted in `refused`."""
        for template, take in _TAKERS.items():
            if (ids := template_match(template, topic)) is not None:
                try:
                    take(self, ids, payload, now_s)
                except PayloadRefusedError:
                    self.refused += 1
                return

    def string(self, name: str) -> StringView:
        """Return the view of a string, made when it is new.

        Raises:
            PayloadRefusedError: there are more strings than a site can have.
        """
        if name not in self.strings:
            if len(self.strings) >= MAX_STRINGS:
                raise PayloadRefusedError(f"more than {MAX_STRINGS} strings")
            self.strings[name] = StringView(name)
        return self.strings[name]

    def in_order(self) -> list[StringView]:
        """Return the strings as a person counts: s2 before s10."""
        return [self.strings[name] for name in sorted(self.strings, key=_natural)]


def _natural(name: str) -> tuple[str, int, str]:
    head = name.rstrip("0123456789")
    digits = name[len(head) :]
    return head, int(digits) if digits else -1, name


def template_match(name: str, topic: str) -> dict[str, str] | None:
    """Return the ids in a topic of the channel called `name`, None when it is not one."""
    return _CHANNELS[name].match(topic)


_CHANNELS: Final = {channel.name: channel for channel in READ}

type _Taker = Callable[[SiteView, dict[str, str], bytes, float], None]


def _take_scan(view: SiteView, ids: dict[str, str], payload: bytes, now_s: float) -> None:
    scan = decode_scan(payload)
    string = view.string(ids["string"])
    before = string.scan
    same_shape = before is not None and before.cells == scan.cells
    if before is not None and before.stream == scan.stream:
        string.missing += max(0, scan.seq - before.seq - 1)
    if not same_shape or before is None:
        string.quality_since_ms = np.full(scan.cells, scan.measured_ms)
    else:
        changed = before.quality != scan.quality
        string.quality_since_ms = np.where(changed, scan.measured_ms, string.quality_since_ms)
    string.scan, string.seen_s = scan, now_s
    string.scans += 1
    string.arrivals_s.append(now_s)
    string.current_trend_a.append(scan.scalars.get("current_a"))


def _take_backfill(view: SiteView, ids: dict[str, str], _payload: bytes, _now_s: float) -> None:
    view.string(ids["string"]).backfilled += 1


def _take_meta(view: SiteView, ids: dict[str, str], payload: bytes, _now_s: float) -> None:
    if not payload:  # the string was removed from the site
        view.strings.pop(ids["string"], None)
        return
    view.string(ids["string"]).meta = decode(StringMeta, payload)


def _take_summary(view: SiteView, ids: dict[str, str], payload: bytes, _now_s: float) -> None:
    if payload:
        view.string(ids["string"]).summary = decode(StringSummary, payload)


def _take_stored(view: SiteView, ids: dict[str, str], payload: bytes, _now_s: float) -> None:
    if payload:
        view.string(ids["string"]).stored = decode(StoredReceipt, payload)


def _take_mode(view: SiteView, ids: dict[str, str], payload: bytes, _now_s: float) -> None:
    view.string(ids["string"]).mode = decode(StringMode, payload) if payload else None


def _take_balance(view: SiteView, ids: dict[str, str], payload: bytes, _now_s: float) -> None:
    view.string(ids["string"]).balance = decode(BalanceState, payload) if payload else None


def _take_estimate(view: SiteView, ids: dict[str, str], payload: bytes, _now_s: float) -> None:
    view.string(ids["string"]).estimate = decode(StringEstimate, payload) if payload else None


def _take_site(view: SiteView, _ids: dict[str, str], payload: bytes, _now_s: float) -> None:
    view.meta = decode(SiteMeta, payload) if payload else None


def _take_presence(view: SiteView, ids: dict[str, str], payload: bytes, _now_s: float) -> None:
    if not payload:
        view.services.pop(ids["service"], None)
    elif ids["service"] in view.services or len(view.services) < MAX_SERVICES:
        view.services[ids["service"]] = decode(Presence, payload)


def _take_event(view: SiteView, _ids: dict[str, str], payload: bytes, _now_s: float) -> None:
    view.events.append(decode(Event, payload))
    view.events_seen += 1


_TAKERS: Final[dict[str, _Taker]] = {
    SCAN.name: _take_scan,
    SUMMARY.name: _take_summary,
    STORED.name: _take_stored,
    BACKFILL.name: _take_backfill,
    STRING_META.name: _take_meta,
    MODE.name: _take_mode,
    BALANCE.name: _take_balance,
    ESTIMATE.name: _take_estimate,
    PRESENCE.name: _take_presence,
    EVENT.name: _take_event,
    SITE_META.name: _take_site,
}
