"""What a unit module is told about its unit, from `site.toml`: docs/bus-protocol.md, section 6, CONFIG. Pure."""

from dataclasses import dataclass
from typing import Final

from cellkeeper.contract.site import StringTable

from bus_gateway.wire import encode
from bus_gateway.wire.decode import Kind
from bus_gateway.wire.decode_long import Identity

BLEED_HOT_DEGC: Final = 55.0  # the factory's: a limit of the module's own board, which no chemistry knows
KIND_OF_TYPE: Final = {"c44": Kind.CELL, "c20": Kind.BLOCK, "c24": Kind.BLOCK}
"""Kind by `module_type` of `site.toml`."""


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """Settings of the modules of one string.

    Attributes:
        kind: that the site describes; a module of another one is left alone.
        cells_per_unit: electrochemical cells in series.
        bleed_floor_v: of the whole unit.
        bleed_hot_degc: limit of lead sensor and board while bleeding.
    """

    kind: Kind
    cells_per_unit: int
    bleed_floor_v: float
    bleed_hot_degc: float

    def is_missing_in(self, who: Identity) -> bool:
        """Return whether a module of the described kind says that it has other settings, compared in its counts."""
        return who.kind == self.kind and (
            who.cells_per_unit != self.cells_per_unit
            or encode.floor_counts(who.bleed_floor_v, self.kind) != encode.floor_counts(self.bleed_floor_v, self.kind)
            or encode.hot_counts(who.bleed_hot_degc) != encode.hot_counts(self.bleed_hot_degc)
        )


def settings_of(string: StringTable) -> UnitSettings:
    """Return what every module of a string has to know."""
    return UnitSettings(
        kind=KIND_OF_TYPE[string.module_type],
        cells_per_unit=string.cells_per_unit,
        bleed_floor_v=string.profile.bleed_floor_v * string.cells_per_unit,
        bleed_hot_degc=BLEED_HOT_DEGC,
    )
