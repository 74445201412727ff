"""Publishes what an impedance measurement found: its own topic, and the units' flat view."""

from collections.abc import Sequence

import numpy as np
from cellkeeper.contract.channels import IMPEDANCE
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.site import SiteTable
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.session import Session

from bus_gateway.downlink.situation import Watchtower
from bus_gateway.driver import ImpedanceReadings
from bus_gateway.uplink.uplink import StringOutlet


def show_impedance(
    found: ImpedanceReadings, site: SiteTable, tower: Watchtower, outlet: StringOutlet, session: Session
) -> None:
    """Publish a sweep of impedances and let the units' views show them."""
    outlet.cells.impedance(np.array(found.cells, dtype=np.intp) - 1, found.r_ohm)
    times = [ms for ms in found.measured_ms if ms is not None]
    sweep = ImpedanceSweep(
        string=found.string,
        measured_at=from_ms(max(times, default=tower.clock.now_ms())),
        method=found.method,
        frequency_hz=found.frequency_hz,
        pulse_s=found.pulse_s,
        test_a=found.test_a,
        mode=tower.mode(found.string) or "unknown",
        cells=list(found.cells),
        r_ohm=_or_none(found.r_ohm.tolist(), 8),
        cell_measured_at=[None if ms is None else from_ms(ms) for ms in found.measured_ms],
        degc=_or_none(found.cell_degc.tolist(), 2),
        cell_v=_or_none(found.cell_v.tolist(), 4),
        quality=found.quality.tolist(),
    )
    topic = IMPEDANCE.topic(site=site.id, string=found.string)
    session.publish(topic, encode(sweep), qos=IMPEDANCE.qos)


def _or_none(values: Sequence[float], decimals: int) -> list[float | None]:
    return [None if np.isnan(value) else round(value, decimals) for value in values]
