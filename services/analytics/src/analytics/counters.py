"""What the service counts of its own work."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What was done."""

    batches: int = 0
    estimates: int = 0
    cell_estimates: int = 0
    modes: int = 0
    dropped: int = 0
    unsent: int = 0
