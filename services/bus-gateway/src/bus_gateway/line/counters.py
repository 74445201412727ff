"""What happened on one line, for metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class LineCounters:
    """What happened on one line since the start; only ever counts up, except the last sweep's figures.

    Attributes:
        bytes_in, bytes_out: on the wire.
        requests, frames: requests sent, intact replies taken.
        crc_errors: replies that were damaged.
        unexpected: intact frames nobody had asked for.
        stray_bytes: bytes outside of any transaction.
        timeouts: transactions that ended by time.
        retries: requests and addresses asked again.
        sweeps: finished sweeps.
        sweep_s: first request to last reply of the newest sweep, real time.
        reopened: how often the port was opened.
    """

    bytes_in: int = 0
    bytes_out: int = 0
    requests: int = 0
    frames: int = 0
    crc_errors: int = 0
    unexpected: int = 0
    stray_bytes: int = 0
    timeouts: int = 0
    retries: int = 0
    sweeps: int = 0
    sweep_s: float = 0.0
    reopened: int = 0
