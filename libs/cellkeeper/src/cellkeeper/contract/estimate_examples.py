"""Example payloads of the analytics: the estimates of a string and of one of its units."""

from datetime import datetime, timedelta
from uuid import UUID

from cellkeeper.contract.commands import AnnounceTest, Command, EndTest, ExchangeCells
from cellkeeper.contract.estimate_state import CellEstimate, RuntimeEstimate, StringEstimate
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.payload import Telemetry


def estimate_examples(at: datetime) -> dict[str, Telemetry]:
    """Return an example by the name of its channel: three units, the last one never heard."""
    return {"estimate": _string_example(at), "cell-estimate": _cell_example(at)}


def analytics_command_examples(command_id: UUID, expires_at: datetime) -> dict[str, Command]:
    """Return an example by the name of the command."""
    return {
        "announce_test": AnnounceTest(
            id=command_id, expires_at=expires_at, string="s1", method="capacity test, 3 h to 1.80 V", planned_s=12_600.0
        ),
        "end_test": EndTest(id=command_id, expires_at=expires_at, string="s1"),
        "exchange_cells": ExchangeCells(
            id=command_id,
            expires_at=expires_at,
            string="s1",
            cell=17,
            other_cell=18,
            happened_at=expires_at - timedelta(hours=2),
        ),
    }


def _string_example(at: datetime) -> StringEstimate:
    return StringEstimate(
        string="s1",
        measured_at=at,
        doubts=[],
        not_validated=["charge curves of vrla_agm", "impedance limits", "odds of failing"],
        runtime=RuntimeEstimate(
            power_w=82.0,
            unit_left_s=460.0,
            unit_left_sd_s=25.0,
            cell=2,
            bus_left_s=515.0,
            bus_left_sd_s=30.0,
            sentence="string s1 reaches cut-off in 7:40 ± 0:50 at this load because of cell 2",
        ),
        soc_frac=[0.913, 0.887, None],
        soc_sd_frac=[0.012, 0.014, None],
        soc_source=["ekf", "ekf", "unknown"],
        anchor_age_h=[0.2, 0.2, None],
        soh_frac=[0.98, 0.91, None],
        soh_sd_frac=[0.02, 0.02, None],
        soh_source=["partial_discharge", "partial_discharge", "not_proven"],
        r_own_frac=[1.04, 1.31, None],
        r_state=["ok", "watch", "unknown"],
        p_fail_6m_frac=[0.004, 0.06, None],
        p_fail_12m_frac=[0.011, 0.14, None],
    )


def _cell_example(at: datetime) -> CellEstimate:
    return CellEstimate(
        soc_frac=0.887,
        soc_sd_frac=0.014,
        soc_source="ekf",
        anchor_age_h=0.2,
        soh_frac=0.91,
        soh_sd_frac=0.02,
        soh_source="partial_discharge",
        r_own_frac=1.31,
        r_state="watch",
        p_fail_6m_frac=0.06,
        p_fail_12m_frac=0.14,
        measured_at=at,
        measured_ms=to_ms(at),
    )
