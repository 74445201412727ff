"""How long the slowest panel of every board takes: `panel_ms_max`, on a real InfluxDB that holds a room's history.

A panel's time is that of all its queries one after the other, over HTTP, newest of the ranges of 2 h, 2 days and 30
days; each is asked REPEATS times and the median counts. `PANELS_WHOLE=1` fills every cell of every string (a quarter of
an hour) instead of what the panels can read.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from cellkeeper.contract.series import DATABASE, DAY_MS
from cellkeeper.testing.influxd import running_influxd
from dashboards.boards import ALL
from dashboards.rehearsal import InfluxQuestioner, rehearse
from dashboards.tier_rule import View

from bench.figure import Figure
from bench.panel_room import CELLS, HOUR_MS, LOOKED_AT, SITE, STRINGS, PanelRoom

NAMES = ("panel_ms_max",)
RANGES_MS = {"2 h": 2 * HOUR_MS, "2 d": 2 * DAY_MS, "30 d": 30 * DAY_MS}
CHOSEN = {"site": SITE, "string": LOOKED_AT, "cell": "17"}
REPEATS = 5
EAGER = ("--storage-cache-snapshot-write-cold-duration", "5s")
SETTLE_S = 20.0  # the cache becomes files, as those of a server that runs for months are


def figures() -> list[Figure]:
    """Return panel_ms_max."""
    whole = os.environ.get("PANELS_WHOLE") == "1"
    with tempfile.TemporaryDirectory() as folder, running_influxd(Path(folder) / "server", *EAGER) as server:
        end_ms = int(time.time()) * 1000
        took_s = PanelRoom(server, Path(folder) / "tokens", end_ms, whole=whole).fill()
        time.sleep(SETTLE_S)
        token = (Path(folder) / "tokens" / "reader.token").read_text("utf-8").strip()
        with InfluxQuestioner(server.url, DATABASE, token) as questioner:
            found = {name: _panels(questioner, end_ms, length_ms) for name, length_ms in RANGES_MS.items()}
    flat = [(ms, f"{panel} over {name}") for name, panels in found.items() for panel, ms in panels.items()]
    flat.sort(reverse=True)
    slowest = "; ".join(f"{name} {ms:.0f}" for ms, name in flat[:4])
    filled = ", ".join(f"{name} {s:.0f} s" for name, s in took_s.items())
    room = f"{STRINGS} strings of {CELLS}, {'all' if whole else 'what panels can read'} filled in {filled}"
    return [Figure("panel_ms_max", flat[0][0], "ms", 300.0, note=f"{slowest}; {room}")]


def _panels(questioner: InfluxQuestioner, end_ms: int, length_ms: int) -> dict[str, float]:
    """Return the median milliseconds of each panel."""
    view = View(end_ms - length_ms, end_ms, end_ms)
    times: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for asked, answer in rehearse(ALL, view, CHOSEN, questioner):
            times.setdefault(f"{asked.board.title}/{asked.panel.title}", []).append(answer.took_ms)
    return {panel: statistics.median(each) for panel, each in times.items()}


if __name__ == "__main__":
    for figure in figures():
        print(figure.line(), "-", figure.note)
