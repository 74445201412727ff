"""How a value of the storage table is shown: unit, decimals and factor. Pure."""

from dataclasses import dataclass
from typing import Final

from cellkeeper.contract.physical import Quality
from cellkeeper.contract.series import Field

NO_UNIT: Final = "none"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person sees of a value.

    Attributes:
        unit: Grafana's name of the unit. `suffix:V` keeps volts as volts; Grafana's own unit would change to mV and µV
            from tile to tile.
        decimals: digits after the point.
        factor: shown value = value in the plain unit × factor.
        words: what codes are called.
    """

    unit: str
    decimals: int
    factor: int = 1
    words: tuple[tuple[int, str], ...] = ()


PLAIN: Final = Shown(NO_UNIT, 0)
SHARE: Final = Shown("percentunit", 1)
QUALITY: Final = Shown(NO_UNIT, 0, words=tuple((int(code), code.name.lower().replace("_", " ")) for code in Quality))
_BY_UNIT: Final = {"": PLAIN, "°C": Shown("celsius", 2), "s": Shown("s", 1)}  # of seconds Grafana makes hours and days


def shown(field: Field) -> Shown:
    """Return how values of a field are shown; a resistance in mΩ, a fraction in percent."""
    if field.shown.endswith("_frac"):
        return Shown("percentunit", max(field.decimals - 2, 0))
    if field.shown.endswith("quality"):
        return QUALITY
    if field.unit == "Ω":
        return in_thousandths(field)
    return _BY_UNIT.get(field.unit, Shown(f"suffix:{field.unit}", field.decimals))


def in_thousandths(field: Field) -> Shown:
    """Return how small values of a field are shown: mV for V, mΩ for Ω."""
    return Shown(f"suffix:m{field.unit}", max(field.decimals - 3, 0), 1000)
