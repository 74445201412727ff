"""How sure the main filter's charge is: what its error may be made of, carried through what the filter did. Pure.

The filter corrects by a variance to which what lasts is added sd by sd, so that it stays willing to correct. Told with
that variance, bounds are wider than the error: a sensor's zero, a table's error, a unit's capacity and a wrong start
have nothing to do with each other. So each has a part of its own here. A correction by `gain` leaves `1 - gain` of
what was wrong before and brings in `gain` of what is wrong about the voltage; what is told is the root of the sum of
the parts' squares. Within a part everything is taken to last, and adds up.
"""

from dataclasses import replace

import numpy as np

from analytics.readings import Flags, Floats
from analytics.soc.memory import Parts


def grown(parts: Parts, by_frac: Floats) -> Parts:
    """Return the parts after charge was counted, wrong by so much (N,) for zero, gaps, losses and leaks."""
    return replace(parts, count_frac=parts.count_frac + by_frac)


def believed(parts: Parts, gain: Floats, new2: tuple[Floats, Floats], open_frac: Floats) -> Parts:
    """Return the parts after voltages were believed.

    Args:
        parts: before.
        gain: (N,) how far the charge was moved towards the voltages'.
        new2: (N,) each: variance of what contradicts the estimate, and of the noise of the voltages.
        open_frac: (N,) sd of what table and circuit leave open; any number where the gain is 0.
    """
    left = 1.0 - gain
    against2, noise2 = new2
    return replace(
        parts,
        start_frac=np.sqrt(left**2 * (parts.start_frac**2 + against2) + gain**2 * noise2),
        count_frac=left * parts.count_frac,
        table_frac=left * parts.table_frac + gain * np.where(gain > 0.0, open_frac, 0.0),
    )


def anchored(parts: Parts, is_set: Flags, sd_frac: Floats) -> Parts:
    """Return the parts where anchors set some units (N,): nothing but the anchor's own sd (N,) is left of theirs."""
    kept = (~is_set).astype(np.float64)
    return Parts(
        start_frac=np.where(is_set, sd_frac, parts.start_frac),
        count_frac=parts.count_frac * kept,
        table_frac=parts.table_frac * kept,
        told_frac=np.where(is_set, sd_frac, parts.told_frac),
    )


def together(parts: Parts, gain_cov: Floats, gain2: Floats) -> Floats:
    """Return the sd (N,) of the charge, with its share in the error of current over capacity.

    Args:
        parts: of the error.
        gain_cov: (N,) see `SocMemory`.
        gain2: (N,) variance of current over capacity.
    """
    return np.sqrt(parts.start_frac**2 + parts.count_frac**2 + parts.table_frac**2 + gain_cov**2 / gain2)
