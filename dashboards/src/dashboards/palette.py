"""Colours that people with any colour vision can tell apart. Pure.

Source: M. Okabe and K. Ito, "Color Universal Design" (2008). Low is blue, high is vermilion, and what is right is a
light grey: red against green is never asked of anybody. Steps also differ in brightness.
"""

from dataclasses import dataclass
from typing import Final

BLUE: Final = "#0072B2"
SKY: Final = "#56B4E9"
GREY: Final = "#B0B0B0"
ORANGE: Final = "#E69F00"
VERMILION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREEN: Final = "#009E73"
OKABE_ITO: Final = frozenset({BLUE, SKY, GREY, ORANGE, VERMILION, PURPLE, GREEN})

LINES: Final = {
    "lowest": BLUE, "mean": GREY, "highest": VERMILION, "newest": GREY, "spread": BLUE, "never bled": ORANGE,
    "estimate": BLUE, "lower": SKY, "upper": SKY, "weakest cell": BLUE, "bus": ORANGE,
}  # fmt: skip
"""Colour of a line by its name, so that it stays the same when another tier answers."""


@dataclass(frozen=True, slots=True)
class Steps:
    """A colour below the first border, and one from each border upwards."""

    base: str
    above: tuple[tuple[float, str], ...] = ()


NEUTRAL: Final = Steps(GREY)
DEVIATION: Final = Steps(BLUE, ((-0.015, SKY), (-0.005, GREY), (0.005, ORANGE), (0.015, VERMILION)))
"""Of (value - mean) / mean: half a percent is 11 mV of a 2 V cell and 68 mV of a 12 V block."""
COVERAGE: Final = Steps(VERMILION, ((0.9, ORANGE), (0.999, GREY)))
PHASES: Final = {
    "float": ("float", SKY), "final": ("last charging phase", GREEN), "charge": ("charge", ORANGE),
    "discharge": ("discharge", VERMILION), "test": ("test", PURPLE), "idle": ("idle", GREY), "unknown": ("?", GREY),
    "": ("may be bled", SKY),
}  # fmt: skip
"""Word and colour of the phases of a string; the empty text is the inhibit of one that may be bled."""
MODES: Final = {
    "float": ("float", SKY), "boost": ("boost", GREEN), "recharge": ("recharge", ORANGE),
    "discharge": ("discharge", VERMILION), "rest": ("rest", GREY), "open": ("open", BLUE), "test": ("test", PURPLE),
    "unknown": ("?", GREY),
}  # fmt: skip
"""Word and colour of what a string does."""
FINDINGS: Final = Steps(GREY, ((1.0, VERMILION),))
DUTY: Final = Steps(GREY, ((0.001, SKY), (0.5, BLUE)))
WARMTH: Final = Steps(GREY, ((30.0, ORANGE), (40.0, VERMILION)))
IMPEDANCE: Final = Steps(GREY, ((0.2, ORANGE), (0.4, VERMILION)))
"""Of (value - mean) / mean; what a lead-acid unit has lost by then differs by make, so it is a hint and no limit."""
