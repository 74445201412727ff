"""Discharges that a simple model of its own makes: no figure of it comes from the code that is tested.

A healthy cell holds its rated charge at the reference temperature and `per_k` more per kelvin; its voltage falls with
the share of charge drawn and reaches the end voltage when all is drawn.
"""

from dataclasses import dataclass, replace

import numpy as np
from analytics.discharge.record import DischargeRecord, RuntimeSaid
from analytics.dossier.context import DossierBasis, DossierContext, EarlierResult, Sensor

BEGAN_S = 1_795_000_000.0
FULL_V, END_V = 2.05, 1.80
DAY_S = 86_400.0


@dataclass(frozen=True)
class Room:
    """A string and its test."""

    units: int = 16
    cells_per_unit: int = 6
    rated_ah: float = 100.0
    rate_h: float = 10.0
    ref_degc: float = 20.0
    degc: float = 20.0
    per_k: float = 0.006
    health: tuple[float, ...] = ()
    """Capacity of each unit as a share; 1 for those that are not named."""
    drawn_frac: float = 1.0
    """The test stops after this share of the time in which the string is at its end voltage."""
    chemistry: str = "vrla_agm"
    kind: str = "test"
    dip_v: float = 0.02
    samples: int = 800
    seed: int = 7
    current_a: float | None = None

    @property
    def amps(self) -> float:
        return self.rated_ah / self.rate_h if self.current_a is None else self.current_a

    def soh(self) -> np.ndarray:
        found = np.ones(self.units)
        found[: len(self.health)] = self.health
        return found

    def unit_v(self, t_s: np.ndarray) -> np.ndarray:
        """Return (T, n) volts of the units, at rest before the onset."""
        held_ah = self.soh() * self.rated_ah * (1.0 + self.per_k * (self.degc - self.ref_degc))
        drawn = np.clip(t_s, 0.0, None)[:, None] * self.amps / 3600.0 / held_ah[None, :]
        steep = np.clip(drawn, 0.0, 1.4)
        cell_v = FULL_V - 0.10 * steep - (FULL_V - END_V - 0.10) * steep**10
        cell_v = cell_v - self.dip_v * np.exp(-((t_s[:, None] - 20.0) ** 2) / 200.0)
        cell_v = np.where(t_s[:, None] < 0.0, 2.26, cell_v)
        return cell_v * self.cells_per_unit

    def end_s(self) -> float:
        """Return when the string is at its end voltage for good: after the first minutes it only falls."""
        end_v = END_V * self.cells_per_unit * self.units
        early_s, late_s = 200.0, 2.0 * 3600.0 * self.rated_ah / self.amps
        for _ in range(60):
            middle_s = 0.5 * (early_s + late_s)
            if self.unit_v(np.array([middle_s])).sum() > end_v:
                early_s = middle_s
            else:
                late_s = middle_s
        return late_s


def context_of(room: Room, **changes) -> DossierContext:
    context = DossierContext(
        site="hh1",
        site_name="Klinikum Süd, UPS room 2",
        string_name="String A",
        chemistry=room.chemistry,
        battery_type="12 V AGM block, 100 Ah",
        rated_ah=room.rated_ah,
        rate_h=room.rate_h,
        ref_degc=room.ref_degc,
        end_v=END_V * room.cells_per_unit,
        cells_per_unit=room.cells_per_unit,
        sensors=(Sensor("current", "A", 300.0, 0.05), Sensor("string_voltage", "V", 300.0, 0.3)),
        software="cellkeeper 0.1.0",
        timezone="Europe/Berlin",
        operator="Duty engineer",
    )
    return replace(context, **changes)


def record_of(room: Room, **changes) -> DischargeRecord:
    """Return the record of a test of the room."""
    duration_s = room.end_s() * room.drawn_frac
    rng = np.random.default_rng(room.seed)
    dense = np.concatenate([np.arange(-10.0, 60.0), np.linspace(60.0, duration_s - 60.0, room.samples)])
    t_s = np.unique(
        np.concatenate([dense, np.linspace(duration_s - 60.0, duration_s, 61), duration_s + np.arange(1, 6)])
    )
    inside = (t_s >= 0.0) & (t_s <= duration_s)
    current_a = np.where(inside, room.amps, 0.0)
    unit_v = room.unit_v(t_s)
    unit_v[t_s > duration_s] = 2.1 * room.cells_per_unit
    shown_v = unit_v + rng.normal(0.0, 2e-4, unit_v.shape)
    warmer = 3.0 * np.clip(t_s / duration_s, 0.0, 1.0)[:, None] * (1.0 + 0.3 * rng.random(room.units))[None, :]
    soc = np.array([np.full(room.units, 0.995), np.full(room.units, 0.02)])
    left_s = duration_s - np.array([5.0, 0.26, 0.51, 0.76]) * np.array([1.0, duration_s, duration_s, duration_s])
    said = tuple(
        RuntimeSaid(BEGAN_S + duration_s - left, 0.97 * left, 0.04 * left, 1, 1.03 * left, 0.05 * left)
        for left in left_s
    )
    record = DischargeRecord(
        string="s1",
        kind=room.kind,
        began_s=BEGAN_S,
        ended_s=BEGAN_S + duration_s,
        ended_by="recharge",
        at_s=BEGAN_S + t_s,
        discharge_a=current_a.astype(np.float32),
        string_v=unit_v.sum(axis=1).astype(np.float32),
        ambient_degc=np.full(len(t_s), room.degc - 0.4, np.float32),
        unit_v=shown_v.astype(np.float32),
        degc=(room.degc + rng.normal(0.0, 0.05, unit_v.shape) + warmer).astype(np.float32),
        moved_ah=room.amps * duration_s / 3600.0,
        soc_frac=soc,
        soc_sd_frac=np.full_like(soc, 0.01),
        soh_frac=room.soh(),
        soh_sd_frac=np.full(room.units, 0.03),
        said=said,
        scans=int(duration_s) + 1,
        missing_s=0.0,
        notes=(),
    )
    return replace(record, **changes)


def earlier_of() -> tuple[EarlierResult, ...]:
    return tuple(
        EarlierResult(
            BEGAN_S - days * DAY_S, "test", 36_000.0 * frac, 100.0 * frac, 10.0, "proven", frac, 0.004, 9, 10.6
        )
        for days, frac in ((1095.0, 1.01), (730.0, 0.985), (365.0, 0.95))
    )


def basis_of(room: Room, **changes) -> DossierBasis:
    return DossierBasis(record_of(room, **changes), context_of(room), earlier_of())
