"""6 V blocks whose modules come from the factory: the gateway stores their own floor, and then they can bleed."""

from pathlib import Path

import pytest
from cellkeeper.contract.channels import EVENT, SCAN
from cellkeeper.contract.chemistry import profiles
from cellkeeper.contract.commands import BleedCells
from cellkeeper.contract.notices import Event
from cellkeeper.contract.outcomes import Applied
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.contract.wire import decode
from cellkeeper.runtime.asking import asking
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.runtime.session import BrokerAddress, Incoming
from cellkeeper.testing.patience import until
from cellkeeper.testing.suite import running_suite, site_text
from twin.site_devices import FLOOR_V

CELLS = 6
BLOCK = 'chemistry = "vrla_agm"\ncells_per_unit = 3\nmodule_type = "c24"\n'


def test_a_commissioned_twin_has_the_floors_that_a_gateway_stores():
    assert {name: profile.bleed_floor_v for name, profile in profiles().items()} == FLOOR_V


@pytest.mark.timeout(600)
async def test_blocks_of_6_v_bleed_after_the_gateway_told_their_modules_what_they_are(tmp_path: Path):
    site = site_text(tmp_path, 1, CELLS).replace('chemistry = "vrla_agm"\n', BLOCK)
    events: list[Event] = []
    bleed_frac: list[float] = []

    def on_event(message: Incoming) -> None:
        events.append(decode(Event, message.payload))

    def on_scan(message: Incoming) -> None:
        bleed_frac[:] = decode_scan(message.payload).bleed_frac.tolist()

    with running_suite(tmp_path, site) as suite:
        broker = BrokerAddress("127.0.0.1", suite.broker.port)
        watch = {EVENT.filter(site="hh1"): on_event, SCAN.filter(site="hh1"): on_scan}
        async with asking(broker, "hh1", SystemClock(), watch) as asker:
            suite.start("twin", CELLKEEPER_TWIN_FRESH_MODULES="1")
            suite.start("bus-gateway")
            await until(lambda: any(event.kind == "module.configured" for event in events))
            outcome = await asker.ask(
                "bus-gateway", "bleed", BleedCells, 20.0, string="s1", cells=[2], bleed_frac=[0.5], hold_s=30.0
            )
            assert isinstance(outcome, Applied), outcome
            await until(lambda: bleed_frac == [0.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    assert not [event for event in events if event.kind == "module.config_refused"]
    (told,) = [event for event in events if event.kind == "module.configured"]
    assert told.data["modules"] == CELLS
