"""A room's history in a real InfluxDB, written as the store would write it, but as fast as the server takes it.

4096 cells in 16 strings up to now: 2 h of the full tier, 2 days of 1 min, 30 days of 15 min and of 1 day, with noise,
quality, bleed, balancing, events and sweeps. The rows are those of the storage table with every field a store writes.
All of it takes the server a quarter of an hour, so unless it is asked for, the cells of the strings that no string
board looks at have only what a panel of the whole site may read by the rule of tiers.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cellkeeper.contract.notices import Event
from cellkeeper.contract.series import (
    CELL,
    CELL_TIERED,
    DATABASE,
    DAY_MS,
    FULL,
    LOG,
    MINUTE_MS,
    SCALAR_FIELDS,
    STATISTICS,
    STRING,
    TIERS,
    Field,
    Tier,
    tier_field,
)
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.testing.builders import balance_of, estimate_of, mode_of
from cellkeeper.testing.influxd import Influxd
from dashboards.tier_rule import Scope
from historian.stores.estimate_rows import cell_estimate_row, estimate_row
from historian.stores.influx.lines import event_line, sweep_lines
from historian.stores.influx.provision import plan_for, provision
from historian.stores.influx.server import Server, Target
from historian.stores.influx.state_lines import cell_state_lines, state_line
from historian.stores.influx.text_columns import TextColumns, chars_of
from historian.stores.port import LivedSweep
from historian.stores.state_rows import balance_row, mode_row

SITE, STRINGS, CELLS = "hh1", 16, 256
HOUR_MS = 3_600_000
LOOKED_AT = "s1"
KEPT_MS = {"full": 2 * HOUR_MS, "1m": 2 * DAY_MS, "15m": 30 * DAY_MS, "1d": 30 * DAY_MS}
_SITE_RULE = Scope.SITE.value
READ_MS = {"full": 300_000, "1m": 2 * _SITE_RULE[1], "15m": 2 * _SITE_RULE[2], "1d": KEPT_MS["1d"]}
ROWS_AT_ONCE = 40_000
LEVEL = {"cell_v": 22_500, "degc": 2_200, "bleed_frac": 0, "current_a": 50, "string_v": 576_000}
NOISE = {"cell_v": 30.0, "degc": 30.0, "bleed_frac": 0.0, "current_a": 10.0, "string_v": 50.0}
EVENTS, SWEEPS = 500, 4


class PanelRoom:
    """Fills a server.

    Args:
        server: a fresh one.
        folder: for tokens.
        end_ms: the newest reading is just before.
        whole: whether the other strings are kept as long as LOOKED_AT.
    """

    def __init__(self, server: Influxd, folder: Path, end_ms: int, *, whole: bool) -> None:
        target = Target(server.url, "cellkeeper", folder / "historian.token", DATABASE)
        for _ in provision(plan_for(target, folder, dict.fromkeys(KEPT_MS, 0))):
            pass
        self._server, self._end_ms, self._whole = Server(target), end_ms, whole
        self._rng = np.random.default_rng(7)

    def fill(self) -> dict[str, float]:
        """Write everything; return the seconds that each bucket took."""
        took = {}
        for tier in (FULL, *TIERS):
            begin_s = time.perf_counter()
            for lines in self._lines(tier):
                refused = self._server.write(tier.name, lines)
                if refused is not None:
                    raise RuntimeError(refused.said)
            took[tier.name] = time.perf_counter() - begin_s
        self._server.write(LOG, b"".join(self._log()))
        for lines in (*self._balancing(), *self._estimates()):
            self._server.write(LOG, lines)
        self._server.close()
        return took

    def _lines(self, tier: Tier) -> Iterator[bytes]:
        step_ms = tier.window_ms or 1000
        first = (self._end_ms - KEPT_MS[tier.name]) // step_ms
        windows = range(first, self._end_ms // step_ms)
        many = max(1, ROWS_AT_ONCE // CELLS)
        read_from_ms = self._end_ms - (KEPT_MS[tier.name] if self._whole else READ_MS[tier.name])
        for begin in range(0, len(windows), many):
            at_ms = np.array(windows[begin : begin + many]) * step_ms
            for string in range(1, STRINGS + 1):
                key = f"site={SITE},string=s{string}"
                keys = chars_of([f"{CELL.name},cell={n},life=1,{key}".encode() for n in range(1, CELLS + 1)])
                fields = [CELL.field(f.shown) for f in CELL_TIERED]
                read_ms = at_ms if f"s{string}" == LOOKED_AT else at_ms[at_ms >= read_from_ms]
                told = self._rows(tier, np.repeat(keys, len(read_ms), axis=0), np.tile(read_ms, CELLS), fields)
                own = np.repeat(chars_of([f"{STRING.name},{key}".encode()]), len(at_ms), axis=0)
                yield told + self._rows(tier, own, at_ms, [f for f in SCALAR_FIELDS if f.shown in LEVEL], own=True)

    def _rows(
        self, tier: Tier, keys: np.ndarray, at_ms: np.ndarray, fields: list[Field], *, own: bool = False
    ) -> bytes:
        if not len(at_ms):
            return b""
        out = TextColumns(keys)
        for field in fields:
            values = LEVEL[field.shown] + np.rint(self._rng.normal(0, NOISE[field.shown] or 1e-9, len(at_ms)))
            if field.shown == "bleed_frac":
                values = np.where(self._rng.random(len(at_ms)) < 0.05, 500, 0)
            if tier is FULL:
                self._full(out, field, values.astype(np.int64))
            else:
                self._window(out, field, values.astype(np.int64))
        if tier is FULL and own:
            out.integer("seq", at_ms // 1000 % 1_000_000)
        if tier is FULL and not own:
            bad = self._rng.random(len(at_ms)) < 1e-4
            out.integer("quality", np.full(len(at_ms), 2), bad)
            out.integer(CELL.field("cell_v_suspect").stored, np.full(len(at_ms), 53_000), bad)
        return out.end(chars_of([b"%d" % (at * 1_000_000) for at in at_ms.tolist()]))

    def _full(self, out: TextColumns, field: Field, values: np.ndarray) -> None:
        out.integer(field.stored, values, values != 0 if field.by_exception else None)

    def _window(self, out: TextColumns, field: Field, values: np.ndarray) -> None:
        for statistic in STATISTICS:
            match statistic:
                case "n_good" | "n_bad":
                    stored = np.full(len(values), 60 if statistic == "n_good" else 0)
                case "mean":
                    stored = values * 10
                case _:
                    stored = values + {"min": -40, "max": 40, "last": 3}[statistic] * bool(NOISE[field.shown])
            out.integer(tier_field(field, statistic), stored)

    def _log(self) -> Iterator[bytes]:
        for n in range(EVENTS):
            at = datetime.fromtimestamp((self._end_ms - n * KEPT_MS["15m"] // EVENTS - MINUTE_MS) / 1000, UTC)
            severity = ("info", "warning", "error")[n % 3]
            text = f"cell {n % CELLS + 1} of s1 was silent"
            yield event_line(
                Event(
                    id=f"{n:08x}", at=at, service="bus-gateway", kind="cell.silent", severity=severity, text=text,
                    string="s1", cell=n % CELLS + 1,
                ), SITE,
            )  # fmt: skip
        for n in range(SWEEPS):
            at = datetime.fromtimestamp((self._end_ms - n * 7 * DAY_MS - HOUR_MS) / 1000, UTC)
            for string in range(1, STRINGS + 1):
                yield sweep_lines(LivedSweep(_sweep(f"s{string}", at, self._rng)), SITE)

    def _balancing(self) -> Iterator[bytes]:
        """Yield a state a minute of the string that is looked at, as the historian keeps them, day by day."""
        for first_ms in range(self._end_ms - KEPT_MS["15m"], self._end_ms, DAY_MS):
            rows = [
                balance_row(balance_of(at_ms, string=LOOKED_AT, spread_v=0.001 * (at_ms // MINUTE_MS % 60)))
                for at_ms in range(first_ms, first_ms + DAY_MS, MINUTE_MS)
            ]
            yield b"".join(state_line(row, SITE) for row in rows)

    def _estimates(self) -> Iterator[bytes]:
        """Yield estimates as the historian keeps them: of the string a row a minute, of its units one an hour."""
        of_units = {name: each for name, each in estimate_of(self._end_ms) if isinstance(each, list) and len(each) == 3}
        columns = {name: (each[:2] * CELLS)[:CELLS] for name, each in of_units.items()}
        for first_ms in range(self._end_ms - KEPT_MS["15m"], self._end_ms, DAY_MS):
            rows = [
                estimate_row(estimate_of(at_ms, string=LOOKED_AT))
                for at_ms in range(first_ms, first_ms + DAY_MS, MINUTE_MS)
            ]
            modes = [
                mode_row(mode_of(at_ms, string=LOOKED_AT)) for at_ms in range(first_ms, first_ms + DAY_MS, 300_000)
            ]
            hours = [
                cell_estimate_row(estimate_of(at_ms, string=LOOKED_AT, **columns), None)
                for at_ms in range(first_ms, first_ms + DAY_MS, HOUR_MS)
            ]
            yield b"".join(state_line(row, SITE) for row in (*rows, *modes))
            yield b"".join(cell_state_lines(row, SITE) for row in hours)


def _sweep(string: str, at: datetime, rng: np.random.Generator) -> ImpedanceSweep:
    return ImpedanceSweep(
        string=string, measured_at=at, method="ac", frequency_hz=1000.0, test_a=2.0, mode="float",
        cells=list(range(1, CELLS + 1)), r_ohm=(3e-4 + rng.normal(0, 1e-5, CELLS)).round(7).tolist(),
        cell_measured_at=[at] * CELLS, degc=[22.0] * CELLS, cell_v=[2.25] * CELLS, quality=[0] * CELLS,
    )  # fmt: skip
