"""What one string is, in volts and watts of its units: from `site.toml` and the chemistry; fixed while we run."""

from dataclasses import dataclass
from typing import Final, Self

from cellkeeper.contract.balancing import BalanceProfile, Strategy
from cellkeeper.contract.site import Site, StringTable

REF_DEGC: Final = 25.0  # chargers compensate float voltage from here
REF_AH: Final = 100.0
COOLING_EXPONENT: Final = 2.0 / 3.0  # surface against volume
STOP_BELOW_HIGHEST_K: Final = 5.0
HIGHEST_STOP_DEGC: Final = 45.0  # a unit above it is not heated further, whatever its chemistry stands


@dataclass(frozen=True, slots=True)
class PackRules:
    """Limits of one string, or of one half of a bipolar one; volts and watts per unit.

    Attributes:
        string: its id.
        first: place of its first unit in the string, from 0; above 0 in the second half of a bipolar string.
        units, cells_per_unit: how many, and electrochemical cells in each.
        strategy: what is done.
        is_permitted: False for a lithium string that nobody permitted.
        float_v, float_v_per_k: of the charger, at 25 °C and per kelvin.
        floor_v: below it no unit is bled.
        bleed_a: through a unit at float voltage with duty 1.
        budget_w: heat of one module.
        cooling_w_per_k: of one unit.
        stop_degc: at and above it no unit is bled.
        enter_v, leave_v, bleed_above_v, start_v, stop_v, plateau_v: of strategy top, see `BalanceProfile`.
        scan_s: usual time between scans.
        held_out: places of units that are never bled, from 0.
    """

    string: str
    first: int
    units: int
    cells_per_unit: int
    rated_ah: float
    strategy: Strategy
    is_permitted: bool
    float_v: float
    float_v_per_k: float
    floor_v: float
    bleed_a: float
    budget_w: float
    cooling_w_per_k: float
    stop_degc: float
    enter_v: float = 0.0
    leave_v: float = 0.0
    bleed_above_v: float = 0.0
    start_v: float = 0.0
    stop_v: float = 0.0
    plateau_v: float | None = None
    scan_s: float = 1.0
    held_out: tuple[int, ...] = ()

    @classmethod
    def of_string(cls, string: StringTable, scan_s: float, first: int = 0, units: int | None = None) -> Self:
        """Return the rules of a string, or of `units` of it from place `first` on."""
        table, chemistry, k = string.balance, string.profile, string.cells_per_unit
        profile: BalanceProfile = table.over(chemistry.balance)
        count = string.cells if units is None else units
        size = (string.rated_ah / REF_AH) ** COOLING_EXPONENT
        own_cooling = table.cooling_w_per_k
        return cls(
            string=string.id,
            first=first,
            units=count,
            cells_per_unit=k,
            rated_ah=string.rated_ah,
            strategy=profile.strategy,
            is_permitted=not profile.needs_permission or table.permitted_by is not None,
            float_v=chemistry.float_v * k,
            float_v_per_k=chemistry.float_v_per_k * k,
            floor_v=chemistry.bleed_floor_v * k,
            bleed_a=string.bleed_max_a,
            budget_w=table.budget_w,
            cooling_w_per_k=own_cooling if own_cooling is not None else profile.cooling_w_per_k * k * size,
            stop_degc=min(HIGHEST_STOP_DEGC, chemistry.highest_degc - STOP_BELOW_HIGHEST_K),
            enter_v=(profile.enter_v or 0.0) * k,
            leave_v=(profile.leave_v or 0.0) * k,
            bleed_above_v=(profile.bleed_above_v or 0.0) * k,
            start_v=profile.start_v * k**0.5,  # a spread: that of k cells in series grows with the root
            stop_v=profile.stop_v * k**0.5,
            plateau_v=None if profile.plateau_v is None else profile.plateau_v * k,
            scan_s=scan_s,
            held_out=tuple(cell - 1 - first for cell in table.hold_out if first <= cell - 1 < first + count),
        )

    def float_at_v(self, degc: float) -> float:
        """Return the charger's float voltage per unit at a battery temperature."""
        return self.float_v + self.float_v_per_k * (degc - REF_DEGC)


def packs_of(site: Site, string: StringTable) -> tuple[PackRules, ...]:
    """Return the rules of a string: one pack, or two where a centre tap divides it."""
    tap = string.balance.centre_tap
    if tap is None:
        return (PackRules.of_string(string, site.site.scan_s),)
    return (
        PackRules.of_string(string, site.site.scan_s, 0, tap),
        PackRules.of_string(string, site.site.scan_s, tap, string.cells - tap),
    )
