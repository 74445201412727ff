"""CPU of all estimators per scan: 17 strings of 241 units at 1 Hz, at float and on load.

The process's own CPU time, so that other work on the machine counts little. Intake and telling are measured beside it
and told in the note; they are the service's, not the estimators'.
"""

import statistics
import time
from typing import Final

import numpy as np
from analytics.engine import Engine
from analytics.estimating import Memory
from analytics.intake import Intake
from analytics.readings import Readings
from analytics.site_rules import SiteRules
from analytics.telling import Pace, Telling
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_file import parse_site
from cellkeeper.contract.wire import encode

from bench.figure import Figure

STRINGS: Final = 17
UNITS: Final = 241
RATED_AH: Final = 200.0
WARM_SCANS: Final = 90
SCANS: Final = 120  # two minutes: what is done once a minute is among it
ROUNDS: Final = 5
GOAL_MS: Final = 2.0
BEGIN_MS: Final = 1_800_000_000_000
NAMES: Final = ("estimate_ms_4096",)


def room() -> Site:
    """Return the site."""
    strings = "".join(
        f'[[string]]\nid = "s{n}"\ndcbus = "ups1"\ncells = {UNITS}\nchemistry = "vrla_agm"\nrated_ah = {RATED_AH}\n'
        f'[[string.modules]]\nbus = "b{n}"\nfirst_address = 1\ncount = {UNITS}\n'
        for n in range(1, STRINGS + 1)
    )
    buses = "".join(f'[[bus]]\nid = "b{n}"\nport = "/dev/ttyUSB{n}"\n' for n in range(1, STRINGS + 1))
    head = '[site]\nid = "hh1"\nname = "Bench room"\n[[dcbus]]\nid = "ups1"\nload_w = 300000.0\n'
    return parse_site((head + buses + strings).encode())


class Scans:
    """Scans of the room as they would come: float, then a load of a tenth of the capacity."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(11)
        self._own_v = self._rng.normal(0.0, 0.006, (STRINGS, UNITS))
        self._seq = 0

    def next(self, load_a: float = 0.0, sag_v: float = 0.0) -> list[ScanColumns]:
        """Return one scan of each string; a load is positive here."""
        self._seq += 1
        level = (2.25 if load_a == 0.0 else 2.02) - sag_v
        return [self._scan(place, level, load_a) for place in range(STRINGS)]

    def _scan(self, place: int, level: float, load_a: float) -> ScanColumns:
        cell_v = level + self._own_v[place] + self._rng.normal(0.0, 0.0003, UNITS)
        good = np.zeros(UNITS, dtype=np.uint8)
        current_a = 0.06 - load_a + float(self._rng.normal(0.0, 0.05))
        return ScanColumns(
            "hh1", f"s{place + 1}", "b7f2", self._seq, 1, BEGIN_MS + 1000 * self._seq, "synced", cell_v.round(4),
            (22.0 + self._rng.normal(0.0, 0.05, UNITS)).round(2), np.zeros(UNITS), good, good, good,
            {"current_a": current_a, "string_v": float(cell_v.sum())}, {},
        )  # fmt: skip


def _cpu_ms(engine: Engine, batches: list[Readings]) -> float:
    begin_s = time.process_time()
    for batch in batches:
        engine.follow(batch)
    return (time.process_time() - begin_s) * 1000.0 / len(batches)


def _batches(intake: Intake, scans: list[list[ScanColumns]]) -> tuple[list[Readings], float]:
    begin_s = time.process_time()
    found = [batch for each in scans for batch in intake.batches([s for s in each if intake.judge(s) == "taken"])]
    return found, (time.process_time() - begin_s) * 1000.0 / len(scans)


def _telling_ms(engine: Engine, rules: SiteRules, batch: Readings) -> float:
    told = engine.follow(batch)
    begin_s = time.process_time()
    telling = Telling(rules.layout, dict(rules.not_validated), Pace(60.0, 180.0))
    for place in telling.estimates_due(told, 0.0):
        encode(telling.payload(told, place))
    return (time.process_time() - begin_s) * 1000.0


def figures() -> list[Figure]:
    """Return CPU milliseconds per scan of all strings: the median of some rounds, the worse of float and load."""
    rules = SiteRules.of(room(), {})
    engine, intake, scans = Engine(rules, Memory.empty(rules)), Intake(rules.layout, rules.bleed_a), Scans()
    for batch in _batches(intake, [scans.next() for _ in range(WARM_SCANS)])[0]:
        engine.follow(batch)
    at_float, on_load, intake_ms = [], [], 0.0
    for _ in range(ROUNDS):
        batches, intake_ms = _batches(intake, [scans.next() for _ in range(SCANS)])
        at_float.append(_cpu_ms(engine, batches))
    for first in range(ROUNDS):
        sag_v = [0.00005 * (first * SCANS + n) for n in range(SCANS)]
        batches, _ = _batches(intake, [scans.next(0.1 * RATED_AH, sag) for sag in sag_v])
        on_load.append(_cpu_ms(engine, batches))
    telling_ms = _telling_ms(engine, rules, batches[-1])
    found = {"float": statistics.median(at_float), "load": statistics.median(on_load)}
    note = (
        f"{STRINGS} strings x {UNITS} units, VRLA, CPU per scan, median of {ROUNDS} x {SCANS} scans: float "
        f"{found['float']:.2f}, load {found['load']:.2f} (fastest {min(at_float):.2f}, {min(on_load):.2f}); beside "
        f"it intake {intake_ms:.2f}, and {telling_ms:.0f} to tell all strings once, every 10 s at float"
    )
    return [Figure("estimate_ms_4096", max(found.values()), "ms", GOAL_MS, note=note)]


if __name__ == "__main__":
    for figure in figures():
        print(figure.line(), "#", figure.note)
