"""Addresses of boards, so that boards can link to each other without importing each other."""

from typing import Final

OVERVIEW: Final = "cellkeeper-overview"
STRING: Final = "cellkeeper-string"
CELL: Final = "cellkeeper-cell"
BALANCING: Final = "cellkeeper-balancing"
ESTIMATES: Final = "cellkeeper-estimates"
HEALTH: Final = "cellkeeper-health"
