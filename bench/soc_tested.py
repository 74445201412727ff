"""What one capacity test teaches of the cells of a run: the chain of the service on it, before the run is scored.

The chain is told what `site.toml` tells: rating, end voltage, chemistry. The rest it finds: modes, when cells are full,
the record of the discharge, each unit's capacity by its own curve. The test is seen through the very instruments that
see the run: gain and zero of the current are the same, and what every module shows too much.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from analytics.estimating import Asked, Memory, Standing, follow
from analytics.intake import no_readings
from analytics.site_rules import SiteRules
from analytics.soc.capacity_belief import CapacityBelief
from analytics.soc.rules import SocRules
from cellkeeper.contract.chemistry import Chemistry
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import parse_site

from bench.soc_play import Seen
from bench.truth.run import Floats

RATED_AH: Final = 100.0  # cells of 2 Ah are made larger: a load below half an ampere is none
RATE_H: Final = 20.0  # the simulated cells' capacity is that at C/20 and 25 °C …
REF_DEGC: Final = 25.0
END_V: Final = {"lfp": 2.0}  # … down to here, as their charge is counted
BEGIN_S: Final = 1.8e9


@dataclass(frozen=True, slots=True)
class Taught:
    """What was learned of the units (m,), draw after draw; `error_frac` is against the capacity of each."""

    capacity: CapacityBelief
    error_frac: Floats
    proven_frac: float

    def said(self) -> str:
        rms, sd = np.sqrt(np.mean(self.error_frac**2)), np.median(self.capacity.sd_frac)
        within = np.mean(np.abs(self.error_frac) <= 2.0 * self.capacity.sd_frac)
        told = f"capacities {rms:.2%} rms (mean {self.error_frac.mean():+.2%}, told {sd:.1%}, {within:.0%} within two)"
        return told if self.proven_frac == 1.0 else f"{told}, {self.proven_frac:.0%} proven"


def taught(test: Seen, chemistry: Chemistry, chemistry_id: str) -> Taught:
    """Return what the service makes of a capacity test.

    Args:
        test: as the instruments show it; every draw is a string of its own.
        chemistry: with the tables that charge is estimated with.
        chemistry_id: by which `site.toml` names it.
    """
    run, larger = test.run, RATED_AH / test.run.nominal_ah
    rules = _rules(test, chemistry, chemistry_id)
    memory = Memory.empty(rules)
    standing, nothing = Standing.of(memory, rules), no_readings(rules.layout)
    good = np.zeros(rules.layout.units, dtype=np.uint8)
    for k, at_s in enumerate(run.at_s):
        readings = replace(
            nothing,
            at_s=np.full(test.draws, BEGIN_S + at_s),
            discharge_a=test.discharge_a[k] * larger,
            unit_v=test.unit_v[k],
            unit_v_as_read=test.unit_v[k],
            degc=test.degc[k],
            quality=good,
        )
        turn = follow(memory, standing, readings, Asked(), rules)
        memory, standing = turn.memory, turn.standing
    belief = standing.soh.belief(rules.rated_ah)
    learned = CapacityBelief(belief.ah / larger, belief.sd_frac)
    error_frac = learned.ah / np.tile(run.capacity_ah, test.draws) - 1.0
    return Taught(learned, error_frac, float(np.mean(np.isfinite(standing.soh.soh_frac))))


def _rules(test: Seen, chemistry: Chemistry, chemistry_id: str) -> SiteRules:
    """Return the rules of a site with a string for each draw, and the tables of this kind of cell."""
    rules = SiteRules.of(_site(test.draws, test.run.cells, chemistry_id), {})
    names = rules.layout.strings
    own = SocRules.of(rules.layout, dict.fromkeys(names, chemistry), dict.fromkeys(names, RATED_AH))
    return replace(rules, soc=own)


def _site(strings: int, cells: int, chemistry_id: str) -> Site:
    end_v = END_V[chemistry_id]
    head = '[site]\nid = "hh1"\nname = "Bench room"\nscan_s = 5.0\n'
    buses = "".join(f'[[bus]]\nid = "b{n}"\nport = "/dev/ttyUSB{n}"\n' for n in range(strings))
    rows = "".join(
        f'[[string]]\nid = "s{n}"\ncells = {cells}\nchemistry = "{chemistry_id}"\nrated_ah = {RATED_AH}\n'
        f"rate_h = {RATE_H}\nref_degc = {REF_DEGC}\nend_v = {end_v}\n"
        f"[string.chemistry_override]\nlowest_v = {end_v}\n"
        f'[[string.modules]]\nbus = "b{n}"\nfirst_address = 1\ncount = {cells}\n'
        for n in range(strings)
    )
    return parse_site((head + buses + rows).encode())
