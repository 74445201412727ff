"""What a room tells about a string: measured, measured with a pulse, and the truth behind it."""

from dataclasses import dataclass, replace

import numpy as np

from twin.physics.sensors import Scalars
from twin.physics.tables import Floats
from twin.script.traces import TracedUnits


@dataclass(frozen=True, slots=True)
class StringReading:
    """One sample of a string as its instruments show it; (n,) arrays.

    NaN in `v` says that the module has nothing to say; NaN in `degc` alone, that its temperature sensor is open.
    """

    at_s: float
    v: Floats
    degc: Floats
    scalars: Scalars


@dataclass(frozen=True, slots=True)
class ImpedanceReading:
    """One impedance measurement of a string's units (n,): ohm as measured, with the state at which it was taken."""

    at_s: float
    r_ohm: Floats
    degc: Floats
    v: Floats
    pulse_s: float


@dataclass(frozen=True, slots=True)
class StringTruth:
    """What no instrument shows: the state behind the readings of a string, (n,) arrays."""

    at_s: float
    string_a: float
    string_v: float
    v: Floats
    degc: Floats
    core_degc: Floats
    soc_frac: Floats


def follow(reading: StringReading, traced: TracedUnits) -> StringReading:
    """Return `reading` with the traced units as recorded; a trace of all units also brings current and string volts."""
    sample = traced.trace.at(reading.at_s)
    units = slice(traced.first_cell - 1, traced.first_cell - 1 + traced.trace.units)
    v, degc = reading.v.copy(), reading.degc.copy()
    v[units] = sample.v
    degc[units] = sample.degc
    scalars = reading.scalars
    if traced.trace.units == len(v):
        nothing = float("nan")
        a = sample.string_a
        scalars = replace(
            scalars,
            string_a=a,
            string_v=float(np.sum(sample.v)),
            float_a=nothing,
            ripple_a_rms=nothing,
            ripple_v_rms=nothing,
        )
    return StringReading(reading.at_s, v, degc, scalars)
