"""From the end of many discharges at once to their papers on disk: 8 and 16 strings of 240 units, real child processes.

Wall time, because that is what is promised; the CPU time of the children stands beside it, since a machine that does
other things at the same time needs longer.
"""

import asyncio
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from analytics.discharge.record import DischargeRecord
from analytics.dossier.context import DossierContext
from analytics.drawers import many
from analytics.papers import Papers

from bench.figure import Figure

UNITS: Final = 240
SAMPLES: Final = 2000  # as many as a record of so many units keeps
DURATION_S: Final = 7200.0
BEGAN_S: Final = 1_800_000_000.0
GOAL_S: Final = 60.0
DEADLINE_S: Final = 600.0
NAMES: Final = ("dossiers_s_8", "dossiers_s_16")


class _Voice:
    """Takes events and tells when so many came."""

    def __init__(self, wanted: int) -> None:
        self.kinds: list[str] = []
        self.all_came = asyncio.Event()
        self._wanted = wanted

    def event(self, kind: str, *_told: object, **_fields: object) -> None:
        self.kinds.append(kind)
        if len(self.kinds) >= self._wanted:
            self.all_came.set()


def _record(string: str) -> DischargeRecord:
    """Return a record of two hours of load, of which two units give way sooner."""
    rng = np.random.default_rng(len(string))
    t_s = np.linspace(-10.0, DURATION_S + 5.0, SAMPLES)
    gone = np.clip(t_s, 0.0, None)[:, None] / (DURATION_S * (1.0 - 0.1 * (rng.random(UNITS) < 0.01)))
    unit_v = np.where(t_s[:, None] < 0.0, 2.26, 2.05 - 0.10 * gone - 0.15 * gone**10)
    unit_v += rng.normal(0.0, 2e-4, unit_v.shape)
    is_on = (t_s >= 0.0) & (t_s <= DURATION_S)
    ones = np.ones(UNITS)
    return DischargeRecord(
        string=string, kind="test", began_s=BEGAN_S, ended_s=BEGAN_S + DURATION_S, ended_by="recharge",
        at_s=BEGAN_S + t_s, discharge_a=np.where(is_on, 60.0, 0.0).astype(np.float32),
        string_v=unit_v.sum(axis=1).astype(np.float32), ambient_degc=np.full(SAMPLES, 21.0, np.float32),
        unit_v=unit_v.astype(np.float32), degc=(22.0 + 3.0 * np.clip(gone, 0.0, 1.0)).astype(np.float32),
        moved_ah=120.0, soc_frac=np.stack([ones, 0.2 * ones]), soc_sd_frac=0.01 * np.ones((2, UNITS)),
        soh_frac=ones, soh_sd_frac=0.03 * ones, said=(), scans=int(DURATION_S), missing_s=0.0, notes=(),
    )  # fmt: skip


def _context(name: str) -> DossierContext:
    return DossierContext(
        site="hh1", site_name="Bench room", string_name=name, chemistry="vrla_agm", battery_type="2 V cell, 200 Ah",
        rated_ah=200.0, rate_h=10.0, ref_degc=20.0, end_v=1.8, cells_per_unit=1, sensors=(), software="bench",
    )  # fmt: skip


async def _drawn(strings: int, folder: Path) -> float:
    """Return the seconds from the end of all discharges to the last paper."""
    voice: Any = _Voice(strings)
    papers = Papers(folder=folder, context_of=_context, voice=voice, keep=10)
    plain = _record("s")
    running = asyncio.create_task(papers.run(), name="papers")
    began_s = time.perf_counter()
    for n in range(strings):
        papers.put(replace(plain, string=f"s{n + 1}"))
    async with asyncio.timeout(DEADLINE_S):
        await voice.all_came.wait()
    took_s = time.perf_counter() - began_s
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    wrong = [kind for kind in voice.kinds if kind != "discharge.dossier"]
    if wrong or len(list(papers.dossiers.glob("*.pdf"))) != strings:
        raise RuntimeError(f"not all were drawn: {voice.kinds}")
    return took_s


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures() -> list[Figure]:
    """Return the seconds for each number of strings."""
    found = []
    for name, strings in zip(NAMES, (8, 16), strict=True):
        with tempfile.TemporaryDirectory() as folder:
            before_s = _cpu_s()
            took_s = asyncio.run(_drawn(strings, Path(folder)))
            cpu_s = _cpu_s() - before_s
            note = f"{strings} strings of {UNITS} units, {SAMPLES} samples; {many()} children, {cpu_s:.0f} s of CPU"
        found.append(Figure(name, round(took_s, 1), "s", GOAL_S, note=note))
    return found
