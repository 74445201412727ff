"""One example payload per channel and command: for the documents, and for whoever writes a reader."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from cellkeeper.contract.balance_examples import balance_example, balancer_command_examples
from cellkeeper.contract.channels import CONTRACT_REVISION
from cellkeeper.contract.chemistry import profiles
from cellkeeper.contract.commands import (
    AssignAddress,
    BleedCells,
    ClearAddress,
    Command,
    IdentifyAddress,
    IdentifyCells,
    MeasureImpedance,
    SearchModules,
    StopBleed,
)
from cellkeeper.contract.estimate_examples import analytics_command_examples, estimate_examples
from cellkeeper.contract.notices import Event, Presence
from cellkeeper.contract.outcomes import CommandOutcome, Refused
from cellkeeper.contract.payload import Telemetry
from cellkeeper.contract.telemetry import (
    AuxState,
    BreakerState,
    CellState,
    DcBusReading,
    DcBusState,
    ImpedanceSweep,
    ModuleState,
    SensorMeta,
    SiteMeta,
    StoredReceipt,
    StringMeta,
    StringMode,
    StringScan,
    StringSummary,
)

AT: Final = datetime(2026, 11, 21, 5, tzinfo=UTC)
COMMAND_ID: Final = UUID("6f0f6a0e-5d3c-4e55-9f7b-0d8a51a0c001")
_EXPIRES: Final = AT + timedelta(seconds=30)


def telemetry_examples() -> dict[str, Telemetry]:
    """Return an example by the name of its channel, for every channel but `command`."""
    return (
        _site_examples()
        | _scan_examples()
        | _view_examples()
        | _state_examples()
        | {"balance": balance_example(AT)}
        | estimate_examples(AT)
        | _device_examples()
        | _notice_examples()
    )


def command_examples() -> dict[str, Command]:
    """Return an example by the name of the command."""
    return (
        {
            "bleed": BleedCells(
                id=COMMAND_ID, expires_at=_EXPIRES, string="s1", cells=[2, 17], bleed_frac=[0.12, 0.5], hold_s=60.0
            ),
            "stop_bleed": StopBleed(id=COMMAND_ID, expires_at=_EXPIRES),
            "identify": IdentifyCells(id=COMMAND_ID, expires_at=_EXPIRES, string="s1", cells=[17], on_s=300.0),
            "measure_impedance": MeasureImpedance(
                id=COMMAND_ID,
                expires_at=_EXPIRES,
                string="s1",
                cells=[1, 2],
                method="dc_pulse",
                pulse_s=0.1,
                test_a=1.0,
            ),
            "search_modules": SearchModules(id=COMMAND_ID, expires_at=_EXPIRES, bus="line1"),
            "assign_address": AssignAddress(
                id=COMMAND_ID, expires_at=_EXPIRES, bus="line1", uid="00c0ffee", address=17
            ),
            "clear_address": ClearAddress(id=COMMAND_ID, expires_at=_EXPIRES, bus="line1", address=17),
            "identify_address": IdentifyAddress(id=COMMAND_ID, expires_at=_EXPIRES, bus="line1", address=17, on_s=60.0),
        }
        | balancer_command_examples(COMMAND_ID, _EXPIRES)
        | analytics_command_examples(COMMAND_ID, _EXPIRES)
    )


def _site_examples() -> dict[str, Telemetry]:
    return {
        "site-meta": SiteMeta(
            site="hh1",
            name="Harbour hospital, UPS room 1",
            at=AT,
            strings=["s1"],
            dcbuses=["ups1"],
            services=["bus-gateway", "historian"],
            versions={"bus-gateway": "0.1.0", "historian": "0.1.0"},
            contract=CONTRACT_REVISION,
        ),
        "string-meta": StringMeta(
            string="s1",
            at=AT,
            name="String 1",
            cells=3,
            cells_per_unit=1,
            chemistry="vrla_agm",
            rated_ah=200.0,
            rate_h=10.0,
            ref_degc=20.0,
            end_v=1.8,
            dcbus="ups1",
            sensors=[SensorMeta(kind="current", bus="line1", address=1001, unit="A", accuracy=0.5)],
            bleed_max_a=0.1,
            scan_s=1.0,
            refresh_s=60.0,
            stale_after_s=180.0,
            resolution_v=0.0001,
            limits=profiles()["vrla_agm"].limits(1),
            gateway="bus-gateway",
            rev="5f3a9c21",
        ),
    }


def _scan_examples() -> dict[str, Telemetry]:
    scan = StringScan(
        site="hh1",
        string="s1",
        stream="b7f2",
        seq=48213,
        oldest_seq=46100,
        measured_at=AT,
        clock="synced",
        current_a=-12.4,
        string_v=6.75,
        ambient_degc=21.8,
        scalar_quality={"current_a": 0, "string_v": 0, "ambient_degc": 0},
        cell_v=[2.251, 2.249, None],
        cell_degc=[22.41, 22.38, None],
        bleed_frac=[0.0, 0.12, None],
        quality=[0, 0, 4],
        degc_quality=[0, 0, 4],
        status=[2, 2, 0],
    )
    return {
        "scan": scan,
        "backfill": scan.model_copy(update={"seq": 48190, "measured_at": AT - timedelta(seconds=23)}),
        "stored": StoredReceipt(string="s1", stream="b7f2", seq=48212, at=AT),
    }


def _view_examples() -> dict[str, Telemetry]:
    cell = CellState(
        cell_v=2.249,
        cell_degc=22.38,
        impedance_ohm=0.000412,
        bleed_frac=0.12,
        quality=0,
        degc_quality=0,
        status=2,
        measured_at=AT,
        measured_ms=1_795_237_200_000,
    )
    return {"summary": _summary_example(), "impedance": _impedance_example(), "cell": cell}


def _summary_example() -> StringSummary:
    return StringSummary(
        string="s1",
        measured_at=AT,
        fresh=True,
        age_s=0.1,
        cells=3,
        good=2,
        coverage_frac=0.667,
        sum_v=None,
        mean_v=2.25,
        min_v=2.249,
        min_v_cell=2,
        max_v=2.251,
        max_v_cell=1,
        mean_degc=22.4,
        max_degc=22.41,
        max_degc_cell=1,
        string_v=6.75,
        current_a=-12.4,
        quality_counts={"0": 2, "4": 1},
    )


def _impedance_example() -> ImpedanceSweep:
    return ImpedanceSweep(
        string="s1",
        measured_at=AT,
        method="dc_pulse",
        pulse_s=0.1,
        test_a=1.0,
        mode="float",
        cells=[1, 2],
        r_ohm=[0.000412, None],
        cell_measured_at=[AT, None],
        degc=[22.41, None],
        cell_v=[2.251, None],
        quality=[0, 4],
    )


def _state_examples() -> dict[str, Telemetry]:
    sensor = "string_voltage sensor of s1"
    return {
        "mode": StringMode(
            string="s1",
            mode="float",
            since=AT - timedelta(hours=9),
            measured_at=AT,
            why="float voltage, no current",
        ),
        "dcbus": DcBusState(
            dcbus="ups1",
            measured_at=AT,
            bus_v=DcBusReading(value=540.12, source=sensor, quality=0),
            total_a=DcBusReading(value=-12.4, source="sum of string currents", quality=0),
            float_setpoint_v=DcBusReading(value=None, source="not known", quality=4),
            charger="unknown",
            on_battery="yes",
            breakers=[BreakerState(string="s1", state="closed", source="current flows", quality=0)],
        ),
    }


def _device_examples() -> dict[str, Telemetry]:
    return {
        "module": ModuleState(
            serial="C44-00C0FFEE",
            at=AT,
            type="c44",
            hardware="2",
            firmware="1.4.0",
            bus="line1",
            address=17,
            string="s1",
            cell=17,
            led="green",
            fuse_open=False,
            disconnected=False,
            resets=1,
            silent=False,
        ),
        "aux": AuxState(
            serial="AUX-0000A1",
            measured_at=AT,
            bus="line2",
            address=2001,
            inputs=[True, False, None, False],
            relays=[False, False, False, False],
            supply_v=24.1,
            quality=0,
        ),
    }


def _notice_examples() -> dict[str, Telemetry]:
    return {
        "event": Event(
            id="0f5b8a1c9d2e4f60",
            at=AT,
            service="bus-gateway",
            kind="module.silent",
            severity="warning",
            text="cell 17 of string s1 does not answer; check its bus cable",
            string="s1",
            cell=17,
            data={"bus": "line1", "address": 17},
        ),
        "presence": Presence(service="historian", state="ready", at=AT, version="0.1.0"),
        "outcome": CommandOutcome(
            id=COMMAND_ID,
            command="bleed",
            at=AT,
            outcome=Refused(reason="on_battery", detail="the string discharges; ask again when it floats"),
        ),
    }
