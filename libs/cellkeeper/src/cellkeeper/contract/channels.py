"""The topic table: what travels, where, how long it stays and who writes it. No other file contains a topic."""

from typing import Final

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.channel import Channel, TopicError
from cellkeeper.contract.commands import Command
from cellkeeper.contract.estimate_state import CellEstimate, StringEstimate
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

__all__ = ["CHANNELS", "CONTRACT_REVISION", "ROOT", "Channel", "TopicError"]

CONTRACT_REVISION: Final = "2026.11"
ROOT: Final = "cellkeeper/v1/{site}/"

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
ESTIMATE: Final = Channel(
    "estimate",
    ROOT + "string/{string}/estimate",
    StringEstimate,
    1,
    "expiring",
    "analytics",
    "State of charge, health and impedance of every unit with their bounds, and how long the string would last.",
    ("historian",),
)
CELL_ESTIMATE: Final = Channel(
    "cell-estimate",
    ROOT + "string/{string}/cell/{cell}/estimate",
    CellEstimate,
    0,
    "expiring",
    "analytics",
    "The same of one unit, flat, for SCADA: by exception and at least each refresh_s.",
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
    SITE_META, STRING_META, SCAN, BACKFILL, STORED, SUMMARY, IMPEDANCE, CELL, MODE, ESTIMATE, CELL_ESTIMATE, BALANCE,
    DCBUS, MODULE, AUX, EVENT, PRESENCE, COMMAND, OUTCOME,
)  # fmt: skip  # type: ignore[assignment]
