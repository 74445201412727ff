"""One file per board; a new one is a file here and a line in ALL."""

from typing import Final

from dashboards.boards import balancing, cell, estimates, health, overview, string
from dashboards.panels import Board

ALL: Final[tuple[Board, ...]] = (
    overview.BOARD,
    string.BOARD,
    cell.BOARD,
    estimates.BOARD,
    balancing.BOARD,
    health.BOARD,
)
