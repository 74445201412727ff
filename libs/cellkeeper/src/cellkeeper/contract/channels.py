"""The topic table: what travels, where, how long it stays and who writes it. No other file contains a topic."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.commands import Command
from cellkeeper.contract.notices import Event, Presence
from cellkeeper.contract.outcomes import CommandOutcome
from cellkeeper.contract.payload import Request, Telemetry
from cellkeeper.contract.telemetry import (
    AuxState,
    CellState,
    DcBusState,
    ImpedanceSweep,
    ModuleState,
    SiteMeta,
    StoredReceipt,
    StringMeta,
    StringMode,
    StringScan,
    StringSummary,
)

CONTRACT_REVISION: Final = "2026.11"
ROOT: Final = "cellkeeper/v1/{site}/"

_ID: Final = r"[a-z0-9][a-z0-9_-]{0,31}"
_LEVELS: Final = {
    "site": _ID,
    "string": _ID,
    "dcbus": _ID,
    "service": _ID,
    "issuer": _ID,
    "name": r"[a-z][a-z0-9_]{0,31}",
    "cell": r"[1-9]\d{0,2}",
    "serial": r"[A-Z0-9-]{4,24}",
}


class TopicError(ValueError):
    """An id would not be one level of a topic."""


@dataclass(frozen=True, slots=True)
class Channel[P: Telemetry | Request]:
    """One row of the table.

    Attributes:
        name: how documents call it.
        template: the topic with its ids in braces.
        payload: what travels.
        qos: as it is published.
        lifetime: `live` is never retained; `kept` is retained; `expiring` is retained with an MQTT 5 message expiry of
            the string's (or site's) `stale_after_s`.
        writer: the one that publishes there: a kind of service, or `that service`, `that issuer`, `the service that was
            asked` where a level of the topic names it.
        summary: one sentence for the documents.
        readers: kinds of services that subscribe; every service reads presences, and what is addressed to it.
    """

    name: str
    template: str
    payload: type[P]
    qos: Literal[0, 1]
    lifetime: Literal["live", "kept", "expiring"]
    writer: str
    summary: str
    readers: tuple[str, ...] = ()

    @property
    def retain(self) -> bool:
        """Whether the broker keeps the newest payload for latecomers."""
        return self.lifetime != "live"

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the topic's variable levels, in order."""
        return tuple(re.findall(r"{(\w+)}", self.template))

    def topic(self, **ids: int | str) -> str:
        """Return the topic with every id filled in.

        Raises:
            TopicError: an id is missing or is not one clean level.
        """
        levels = {}
        for name in self.ids:
            value = str(ids.get(name, ""))
            if not re.fullmatch(_LEVELS[name], value):
                raise TopicError(f"{name}={value[:40]!r} cannot stand in {self.template}")
            levels[name] = value
        return self.template.format(**levels)

    def filter(self, **ids: int | str) -> str:
        """Return a subscription filter: ids that are not given become `+`."""
        wild = dict.fromkeys(self.ids, "+")
        given = {name: str(value) for name, value in ids.items()}
        for name, value in given.items():
            if not re.fullmatch(_LEVELS[name], value):
                raise TopicError(f"{name}={value[:40]!r} cannot stand in {self.template}")
        return self.template.format(**(wild | given))

    def match(self, topic: str) -> dict[str, str] | None:
        """Return the ids in `topic`, or None when it is not of this channel."""
        found = _pattern(self.template).fullmatch(topic)
        return found.groupdict() if found else None


_patterns: dict[str, re.Pattern[str]] = {}


def _pattern(template: str) -> re.Pattern[str]:
    if template not in _patterns:
        _patterns[template] = re.compile(
            re.sub(r"{(\w+)}", lambda level: f"(?P<{level[1]}>{_LEVELS[level[1]]})", template)
        )
    return _patterns[template]


SITE_META: Final = Channel(
    "site-meta",
    ROOT + "meta",
    SiteMeta,
    1,
    "kept",
    "bus-gateway",
    "What is on this site; written by the first gateway.",
    ("analytics", "historian"),
)
STRING_META: Final = Channel(
    "string-meta",
    ROOT + "string/{string}/meta",
    StringMeta,
    1,
    "kept",
    "bus-gateway",
    "What a string is.",
    ("analytics", "balancer"),
)
SCAN: Final = Channel(
    "scan",
    ROOT + "string/{string}/scan",
    StringScan,
    1,
    "live",
    "bus-gateway",
    "Every synchronous sample of a string, live only; control reads this and nothing else.",
    ("analytics", "balancer", "historian"),
)
BACKFILL: Final = Channel(
    "backfill",
    ROOT + "string/{string}/backfill",
    StringScan,
    1,
    "live",
    "bus-gateway",
    "Samples that were not stored yet, in order; never for control.",
    ("analytics", "historian"),
)
STORED: Final = Channel(
    "stored",
    ROOT + "string/{string}/stored",
    StoredReceipt,
    1,
    "kept",
    "historian",
    "Receipt: everything of a stream up to this seq is durable, without a gap.",
    ("bus-gateway",),
)
SUMMARY: Final = Channel(
    "summary",
    ROOT + "string/{string}/summary",
    StringSummary,
    1,
    "expiring",
    "bus-gateway",
    "A string in one glance; at every scan that changes it and at least each refresh_s.",
)
IMPEDANCE: Final = Channel(
    "impedance",
    ROOT + "string/{string}/impedance",
    ImpedanceSweep,
    1,
    "live",
    "bus-gateway",
    "Impedances of some units, with method and conditions.",
    ("analytics", "historian"),
)
CELL: Final = Channel(
    "cell",
    ROOT + "string/{string}/cell/{cell}",
    CellState,
    0,
    "expiring",
    "bus-gateway",
    "One unit, flat, for SCADA: by exception and at least each refresh_s.",
)
MODE: Final = Channel(
    "mode",
    ROOT + "string/{string}/mode",
    StringMode,
    1,
    "expiring",
    "analytics",
    "What a string does, since when, why.",
    ("balancer", "bus-gateway", "historian"),
)
BALANCE: Final = Channel(
    "balance",
    ROOT + "string/{string}/balance",
    BalanceState,
    1,
    "expiring",
    "balancer",
    "Balancing of a string: phase, inhibit, duty, charge moved, reason per unit.",
    ("analytics", "historian"),
)
DCBUS: Final = Channel(
    "dcbus",
    ROOT + "dcbus/{dcbus}/state",
    DcBusState,
    1,
    "expiring",
    "bus-gateway",
    "Parallel strings of one dc bus; each value with source and quality.",
    ("analytics", "balancer"),
)
MODULE: Final = Channel(
    "module",
    ROOT + "module/{serial}",
    ModuleState,
    1,
    "kept",
    "bus-gateway",
    "A module: who it is, where it sits, its LED, fuse and resets.",
    ("analytics",),
)
AUX: Final = Channel(
    "aux",
    ROOT + "aux/{serial}",
    AuxState,
    1,
    "expiring",
    "bus-gateway",
    "An AUX device: inputs, relays, supply.",
    ("analytics",),
)
EVENT: Final = Channel(
    "event",
    ROOT + "event/{service}",
    Event,
    1,
    "live",
    "that service",
    "Anything a log book would hold.",
    ("analytics", "historian"),
)
PRESENCE: Final = Channel(
    "presence",
    ROOT + "service/{service}",
    Presence,
    1,
    "kept",
    "that service",
    "Whether a service is there and does its work; last will: gone.",
)
COMMAND: Final = Channel(
    "command",
    ROOT + "command/{service}/{name}/{issuer}",
    Command,
    1,
    "live",
    "that issuer",
    "A request to a service; never retained; MQTT 5 response topic and correlation data.",
)
OUTCOME: Final = Channel(
    "outcome",
    ROOT + "outcome/{service}/{issuer}",
    CommandOutcome,
    1,
    "live",
    "the service that was asked",
    "How a command ended, by command id.",
)

CHANNELS: Final[tuple[Channel[Telemetry] | Channel[Request], ...]] = (
    SITE_META, STRING_META, SCAN, BACKFILL, STORED, SUMMARY, IMPEDANCE, CELL, MODE, BALANCE, DCBUS, MODULE, AUX, EVENT,
    PRESENCE, COMMAND, OUTCOME,
)  # fmt: skip  # type: ignore[assignment]
