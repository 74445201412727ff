"""What a row of the storage table is made of: measurements, their tags and their fields."""

from dataclasses import dataclass
from typing import Literal

type Dtype = Literal["int16", "int32", "int64", "uint8", "text"]


@dataclass(frozen=True, slots=True)
class Field:
    """One stored value of a measurement.

    Attributes:
        shown: name in exports and answers, in the plain unit (`cell_v`).
        unit: unit of the shown value, "" for codes and texts.
        dtype: how it is kept.
        exponent: stored count = value × 10**exponent; None for codes and texts, which are kept as they are.
        tiered: whether the tiers hold its min, mean, max, last, n_good and n_bad.
        by_exception: whether InfluxDB's full tier leaves it out where it has its usual value (0; 2 of the status).
        about: one line for the documents.
    """

    shown: str
    unit: str
    dtype: Dtype
    exponent: int | None = None
    tiered: bool = False
    by_exception: bool = False
    about: str = ""

    @property
    def stored(self) -> str:
        """Return the name in the store, with its scale."""
        return self.shown if self.exponent is None else f"{self.shown}_e{self.exponent}"

    @property
    def decimals(self) -> int:
        """Decimals that an export shows."""
        return self.exponent or 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """One kind of row.

    Attributes:
        name: as the store calls it.
        tags: what a row is keyed by, together with its time.
        fields: what it holds.
        about: one line for the documents.
        told_by: the field that tells two rows of one moment apart; "" where there is never more than one.
    """

    name: str
    tags: tuple[str, ...]
    fields: tuple[Field, ...]
    about: str
    told_by: str = ""

    @property
    def has_body(self) -> bool:
        """Whether some rows keep the whole payload."""
        return any(field.shown == "body" for field in self.fields)

    def place(self, shown: str) -> int:
        """Return where the field of that shown name stands.

        Raises:
            KeyError: there is none.
        """
        return self.fields.index(self.field(shown))

    def field(self, shown: str) -> Field:
        """Return the field of that shown name.

        Raises:
            KeyError: there is none.
        """
        for field in self.fields:
            if field.shown == shown:
                return field
        raise KeyError(shown)
