"""What all estimators together say after a batch of scans."""

from dataclasses import dataclass

from cellkeeper.contract.estimate_state import Doubt

from analytics.discharge.record import DischargeRecord
from analytics.mode import ModeSaid
from analytics.readings import Floats
from analytics.runtime.follow import Runtime
from analytics.soh.finding import CapacityFinding
from analytics.unit_estimates import UnitEstimates


@dataclass(frozen=True, slots=True)
class Estimates:
    """Of all strings, in the order of the layout.

    Attributes:
        at_s: (S,) event time of each string's newest scan; NaN before the first.
        modes: (S) what each string does.
        units: of all units.
        runtime: of all strings.
        doubts: (S) what makes a string's estimates worse.
        records: discharges that this batch ended.
        findings: what those, or a rest after one, prove of capacities.
    """

    at_s: Floats
    modes: tuple[ModeSaid, ...]
    units: UnitEstimates
    runtime: Runtime
    doubts: tuple[tuple[Doubt, ...], ...]
    records: tuple[DischargeRecord, ...] = ()
    findings: tuple[CapacityFinding, ...] = ()
