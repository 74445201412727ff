"""How many cells two cores carry at 1 Hz; the longest figure: it tries rooms until one does not keep up."""

from bench.bench_pipeline import largest_room
from bench.figure import Figure

NAMES = ("max_cells_1hz",)


def figures() -> list[Figure]:
    """Return max_cells_1hz."""
    return largest_room()
