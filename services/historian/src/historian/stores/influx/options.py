"""How a store in InfluxDB behaves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from historian.stores.influx.server import Target


@dataclass(frozen=True, slots=True)
class InfluxOptions:
    """Where rows go and what stays here.

    Attributes:
        target: the server, its organisation, the token and the buckets' first name.
        directory: for what is no history: books of streams, marks of windows, log rows that wait, scans set aside.
        now_ms: the server's idea of now, from which its retention counts back: real time.
    """

    target: Target
    directory: Path
    now_ms: Callable[[], int]
