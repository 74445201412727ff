"""Example payloads of balancing: its state, and what people ask of the balancer."""

from datetime import datetime, timedelta
from uuid import UUID

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.commands import Command, ForceBleed, PauseBalance, ResumeBalance, SpareNewBattery


def balance_example(at: datetime) -> BalanceState:
    """Return the state of a string of three units in float, one of them silent."""
    return BalanceState(
        string="s1",
        measured_at=at,
        strategy="float_pi",
        enabled=True,
        phase="float",
        inhibit="",
        bleed_max_a=0.1,
        budget_w=0.4,
        spread_v=0.012,
        began_at=at - timedelta(hours=7),
        began_spread_v=0.055,
        half_life_s=11_500.0,
        finish_s=16_200.0,
        held_out_spread_v=None,
        is_milestone=False,
        findings=[],
        duty_frac=[0.62, 0.0, 0.0],
        moved_ah=[0.41, 0.02, 0.0],
        heat_wh=[0.92, 0.05, 0.0],
        leak_a=[None, None, None],
        reason=["bleeding", "reference", "no_reading"],
    )


def balancer_command_examples(command_id: UUID, expires_at: datetime) -> dict[str, Command]:
    """Return an example by the name of the command."""
    until = expires_at + timedelta(days=2)
    return {
        "pause": PauseBalance(
            id=command_id, expires_at=expires_at, string="s1", reason="capacity test on Saturday", until=until
        ),
        "resume": ResumeBalance(id=command_id, expires_at=expires_at, string="s1"),
        "force": ForceBleed(
            id=command_id, expires_at=expires_at, string="s1", cells=[17], bleed_frac=1.0, for_s=3600.0
        ),
        "new_battery": SpareNewBattery(id=command_id, expires_at=expires_at, string="s1", cells=[17], until=until),
    }
