"""What a dossier has to know besides the record: the battery, its sensors, and what earlier discharges gave."""

from dataclasses import dataclass
from typing import Literal

from analytics.discharge.record import DischargeRecord

type Proof = Literal["proven", "at_least", "indicative", "not_proven"]


@dataclass(frozen=True, slots=True)
class Sensor:
    """A fitted sensor as `site.toml` describes it.

    Attributes:
        kind: current, float_current, string_voltage, ripple or ambient.
        unit: of the two next.
        range_max: end of its range; None where the site does not say.
        accuracy: largest deviation in `unit`; None where the site does not say.
    """

    kind: str
    unit: str
    range_max: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class DossierContext:
    """The battery and its surroundings at the time of the discharge.

    Attributes:
        site: id.
        site_name, string_name: as people know them.
        chemistry: id of the profile.
        battery_type: maker and type; empty where nobody wrote it down.
        rated_ah: charge at `rate_h` and `ref_degc`.
        rate_h: hours in which the rated charge is drawn.
        ref_degc: temperature for which the maker states it.
        end_v: volts of a whole unit at the end of a discharge, as in StringMeta.
        cells_per_unit: electrochemical cells in series in a unit.
        sensors: of this string.
        software: name and version that made the record.
        timezone: IANA name in which the dossier shows times.
        resolution_v: volts per count of the modules.
        published_h, published_a: the maker's table at this end voltage and `ref_degc`: hours and the constant current
            that lasts so long. Empty without a table; then only the rated point is known.
        per_k: growth of the capacity per kelvin by the maker's sheet; None for the chemistry's typical figure.
        table_id: which table that is, and its version.
        serials: of the modules, in order of the cells; empty where unknown.
        operator: who led the test; empty for an outage.
    """

    site: str
    site_name: str
    string_name: str
    chemistry: str
    battery_type: str
    rated_ah: float
    rate_h: float
    ref_degc: float
    end_v: float
    cells_per_unit: int
    sensors: tuple[Sensor, ...]
    software: str
    timezone: str = "UTC"
    resolution_v: float = 0.001
    published_h: tuple[float, ...] = ()
    published_a: tuple[float, ...] = ()
    per_k: float | None = None
    table_id: str = ""
    serials: tuple[str, ...] = ()
    operator: str = ""


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """What one earlier discharge of the same string gave.

    Attributes:
        began_s: event time.
        kind: `outage` or `test`.
        duration_s: how long it lasted.
        moved_ah: charge; None without a current sensor.
        mean_a: mean current; None without.
        proof: what the capacity is worth.
        capacity_frac, capacity_sd_frac: of the rated charge, corrected to `ref_degc`; None while not proven.
        weakest_cell: first to its limit, else lowest at the end; 0 while unknown.
        weakest_end_v: its voltage at the end; None while unknown.
    """

    began_s: float
    kind: Literal["outage", "test"]
    duration_s: float
    moved_ah: float | None
    mean_a: float | None
    proof: Proof
    capacity_frac: float | None
    capacity_sd_frac: float | None
    weakest_cell: int
    weakest_end_v: float | None


@dataclass(frozen=True, slots=True)
class DossierBasis:
    """Everything a dossier is made of; the same basis gives the same dossier.

    Attributes:
        record: the discharge.
        context: the battery at that time.
        earlier: results of earlier discharges of this string, oldest first.
    """

    record: DischargeRecord
    context: DossierContext
    earlier: tuple[EarlierResult, ...] = ()
