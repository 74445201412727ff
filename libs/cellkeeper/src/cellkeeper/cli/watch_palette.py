"""Colours and glyphs of the live view. Okabe and Ito's set: told apart with every common colour vision.

No meaning is in a colour alone: heights, signs and letters say the same, so a grey terminal loses nothing.
"""

from typing import Final

from cellkeeper.contract.physical import Quality

GOOD: Final = "#009e73"
NOTICE: Final = "#e69f00"
BAD: Final = "#d55e00"
QUIET: Final = "#8a8a8a"
TITLE: Final = "bold #56b4e9"
SELECTED: Final = "bold"

LOW_TO_HIGH: Final = ("#0072b2", "#3d95cc", "#8fbfdd", "#a8a8a8", "#e8c87a", "#e69f00", "#d55e00")
"""Seven steps from far below to far above the middle."""
HEIGHTS: Final = "▁▂▃▄▅▆▇"

QUALITY_GLYPH: Final = {
    Quality.NOT_RE_READ: ("~", QUIET),
    Quality.IMPLAUSIBLE: ("?", BAD),
    Quality.OUT_OF_RANGE: ("!", BAD),
    Quality.SILENT: ("×", BAD),
    Quality.BUS_ERROR: ("#", BAD),
    Quality.IN_TEST: ("t", NOTICE),
    Quality.UPDATING: ("u", NOTICE),
    Quality.UNTRUSTED: ("§", BAD),
}
QUALITY_NAME: Final = {
    Quality.NOT_RE_READ: "old",
    Quality.IMPLAUSIBLE: "implausible",
    Quality.OUT_OF_RANGE: "range",
    Quality.SILENT: "silent",
    Quality.BUS_ERROR: "bus error",
    Quality.IN_TEST: "test",
    Quality.UPDATING: "updating",
    Quality.UNTRUSTED: "untrusted",
}
STATE_MARK: Final = {
    "ready": ("●", GOOD),
    "starting": ("◌", NOTICE),
    "degraded": ("▲", NOTICE),
    "gone": ("✖", BAD),
}
