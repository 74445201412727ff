"""What the estimate of the next scan depends on, and what is told of this one; all of it frozen arrays."""

from dataclasses import field
from enum import IntEnum
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from analytics.checked_frozen import checked_frozen
from analytics.readings import Codes, Flags, Floats
from analytics.soc.rules import SocRules

type Counts = NDArray[np.int64]

UNIFORM_SD_FRAC: Final = 0.29  # of something between 0 and 1
REFERENCE_DEGC: Final = 25.0


class Source(IntEnum):
    """Where a charge is known from, by its number in `SocEstimate.source`."""

    UNKNOWN = 0
    ANCHOR = 1
    COULOMB = 2
    EKF = 3
    OCV = 4
    FLOAT = 5
    VOLTAGE = 6

    @property
    def word(self) -> str:
        """Its name on the wire."""
        return self.name.lower()


@checked_frozen
class StringPast:
    """What was last seen of each string.

    Attributes:
        at_s: (S,) event time of the newest scan; NaN before the first.
        looked_s: (S,) of the newest one whose volts were looked at; NaN before the first.
        behind_s: (S,) event time of the newest scan that came out of order; minus infinity without one.
        behind: (S,) how many of those came in a row, each newer than the one before.
        discharge_a: (S,) current of the newest scan as the sensor said it; NaN without.
        sign: (S,) evidence of its steps, -1 (the sensor is mounted the wrong way round) to 1.
        still_s: (S,) so long the string has carried no current worth a name.
        slow_a, hour_a: (S,) smoothed current, and what it was when the hour began; for full strings.
        hour_s: (S,) age of that hour.
        steady: (S,) whether the last full hour found it steady.
        unsettled: (S,) how much of the slow part of the voltage is unknown, 1 at the first scan.
    """

    at_s: Floats
    looked_s: Floats
    behind_s: Floats
    behind: Counts
    discharge_a: Floats
    sign: Floats
    still_s: Floats
    slow_a: Floats
    hour_a: Floats
    hour_s: Floats
    steady: Flags
    unsettled: Floats


@checked_frozen
class UnitPast:
    """What was last seen of each unit, and what currents have left in it.

    Attributes:
        cell_v: (N,) newest volts per cell; NaN without.
        degc: (N,) last known temperature.
        v1_v, v2_v: (N,) the part of the voltage that a current leaves for minutes, and for an hour.
        branch: (N,) -1 after charge to 1 after discharge: on which side of its curve the unit is.
        surface: (N,) how much of the surface charge is left, 1 right after charging.
        full_s: (N,) so long the signs of a full unit have held.
        taken_frac, given_frac: (N,) since it was full.
    """

    cell_v: Floats
    degc: Floats
    v1_v: Floats
    v2_v: Floats
    branch: Floats
    surface: Floats
    full_s: Floats
    taken_frac: Floats
    given_frac: Floats


@checked_frozen
class Owed:
    """What has happened since units were carried on last.

    Attributes:
        s: (S,) time.
        moved_as: (S,) charge that left the string, ampere seconds.
        unknown_as: (S,) by how much that may be wrong because nobody saw it: zero of the sensor, gaps, leaks.
        charges: (S,) whether the charger was at work.
        bleed_as: (N,) charge that the units' bleeds took beside it.
    """

    s: Floats
    moved_as: Floats
    unknown_as: Floats
    charges: Flags
    bleed_as: Floats

    @classmethod
    def nothing(cls, strings: int = 0, units: int = 0) -> Self:
        """Return what is owed before the first scan."""
        zero = np.zeros(strings)
        return cls(zero, zero, zero, np.zeros(strings, dtype=np.bool_), np.zeros(units))


@checked_frozen
class Parts:
    """What the error of the main filter's charge may be made of; (N,) each, sd.

    Attributes:
        start_frac: of the first guess or the last anchor, of what contradicted since, and of the volts' noise.
        count_frac: of the sensor's zero, gaps, losses and leaks.
        table_frac: of the curve and the circuit, as far as their volts were believed.
        told_frac: what was told of them when the units were carried on last; of flat curves what their filter claims.
    """

    start_frac: Floats
    count_frac: Floats
    table_frac: Floats
    told_frac: Floats

    @classmethod
    def begin(cls, sd_frac: Floats) -> Self:
        """Return the parts of a first guess with this sd (N,)."""
        zero = np.zeros(len(sd_frac))
        return cls(sd_frac.copy(), zero, zero, sd_frac.copy())

    @classmethod
    def nothing(cls) -> Self:
        """Return what is read where an older version wrote none; `older_memories.py` begins it."""
        return cls.begin(np.zeros(0))


@checked_frozen
class Kalman:
    """A filter over charge and slow voltage that knows of two errors it must not correct: gain and table.

    Attributes:
        soc_frac: (N,) its charge.
        slow_v: (N,) its correction of `v2_v`.
        ss, s2, s22: (N,) covariance of charge and slow voltage.
        sb, b2: (N,) of charge, and of slow voltage, with the table's error.
        sg: (N,) of charge with the relative error of current over capacity.
    """

    soc_frac: Floats
    slow_v: Floats
    ss: Floats
    s2: Floats
    s22: Floats
    sb: Floats
    b2: Floats
    sg: Floats

    @classmethod
    def begin(cls, soc_frac: Floats, sd_frac: Floats) -> Self:
        """Return the filter at a first guess (N,) with its standard deviation."""
        zero = np.zeros(len(soc_frac))
        return cls(soc_frac.copy(), zero, sd_frac**2, zero, zero, zero, zero, zero)


@checked_frozen
class SocMemory:
    """What the next scan starts from.

    Attributes:
        string: seen of the strings.
        unit: seen of the units.
        soc_frac: (N,) belief of the charge, in [0, 1].
        sd_frac: (N,) by which the main filter corrects it; flat curves are told with it, sloped ones with `parts`.
        gain_cov: (N,) covariance of that charge with the relative error of current over capacity: what was counted out
            wrong comes back when it is counted in.
        kalman: a second opinion for sloped curves, the means of correction for flat ones.
        source: (N,) of the last estimate.
        anchored_at_s: (N,) event time of the last anchor; NaN without.
        held: (N,) full and kept full by its charger.
        owed: what has happened since the units were carried on.
        parts: what the main filter's charge may be wrong by.
    """

    string: StringPast
    unit: UnitPast
    soc_frac: Floats
    sd_frac: Floats
    gain_cov: Floats
    kalman: Kalman
    source: Codes
    anchored_at_s: Floats
    held: Flags
    owed: Owed = field(default_factory=Owed.nothing)
    parts: Parts = field(default_factory=Parts.nothing)

    @classmethod
    def empty(cls, rules: SocRules) -> Self:
        """Return the memory of a site that nothing is known of, not even whether it was charged a moment ago."""
        half = np.full(rules.units, 0.5)
        return cls._at(rules, half, np.full(rules.units, UNIFORM_SD_FRAC), surface=1.0)

    @classmethod
    def told(cls, rules: SocRules, soc_frac: Floats, sd_frac: Floats) -> Self:
        """Return the memory of rested units whose charge (N,) a person told, with a standard deviation (N,).

        Rested: not charged within the last day, so that their voltage may be believed at once.
        """
        return cls._at(rules, np.clip(soc_frac, 0.0, 1.0), np.array(sd_frac, dtype=np.float64), surface=0.0)

    @classmethod
    def _at(cls, rules: SocRules, soc_frac: Floats, sd_frac: Floats, surface: float) -> Self:
        units, strings = rules.units, len(rules.layout.strings)
        return cls(
            string=_no_past(strings),
            unit=UnitPast(
                cell_v=np.full(units, np.nan),
                degc=np.full(units, REFERENCE_DEGC),
                v1_v=np.zeros(units),
                v2_v=np.zeros(units),
                branch=np.zeros(units),
                surface=np.full(units, surface),
                full_s=np.zeros(units),
                taken_frac=np.zeros(units),
                given_frac=np.zeros(units),
            ),
            soc_frac=soc_frac,
            sd_frac=sd_frac,
            gain_cov=np.zeros(units),
            kalman=Kalman.begin(soc_frac, sd_frac),
            source=np.zeros(units, dtype=np.uint8),
            anchored_at_s=np.full(units, np.nan),
            held=np.zeros(units, dtype=np.bool_),
            owed=Owed.nothing(strings, units),
            parts=Parts.begin(sd_frac),
        )


def _no_past(strings: int) -> StringPast:
    return StringPast(
        at_s=np.full(strings, np.nan),
        looked_s=np.full(strings, np.nan),
        behind_s=np.full(strings, -np.inf),
        behind=np.zeros(strings, dtype=np.int64),
        discharge_a=np.full(strings, np.nan),
        sign=np.zeros(strings),
        still_s=np.zeros(strings),
        slow_a=np.zeros(strings),
        hour_a=np.full(strings, np.nan),
        hour_s=np.zeros(strings),
        steady=np.zeros(strings, dtype=np.bool_),
        unsettled=np.ones(strings),
    )


@checked_frozen
class SocEstimate:
    """What is told.

    Attributes:
        soc_frac: (N,) charge as part of the believed capacity; NaN while unknown.
        soc_sd_frac: (N,) its standard deviation; NaN while unknown.
        source: (N,) `Source`.
        anchor_age_h: (N,) since the last anchor; NaN without one.
        sign_suspect: (S,) the current sensor seems to be mounted the wrong way round: nothing is counted.
        no_current: (S,) the newest scan has no current.
    """

    soc_frac: Floats
    soc_sd_frac: Floats
    source: Codes
    anchor_age_h: Floats
    sign_suspect: Flags
    no_current: Flags
