"""The half of a driver that acts, for sources that can only be read: everything is refused, zero is always reached."""
# ruff: noqa: ARG002  # the arguments are the Protocol's

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from cellkeeper.contract.commands import MeasureImpedance
from cellkeeper.contract.outcomes import Applied, FoundModule, NoReply, Outcome, Refused

from bus_gateway.driver import AuxReadings, ImpedanceReadings, ModuleRecord

_READ_ONLY: Final = Refused(reason="not_supported", detail="this source can be read, not acted on")


class ReadOnlyDriver:
    """Refuses every act; has no modules and no AUX devices."""

    def read_elsewhere(self) -> Collection[str]:
        """Return nothing: a source that is only read can be read by many."""
        return ()

    def modules(self) -> Sequence[ModuleRecord]:
        """Return nothing."""
        return ()

    def aux(self) -> Sequence[AuxReadings]:
        """Return nothing."""
        return ()

    def line_figures(self) -> Mapping[str, Mapping[str, float]]:
        """Return nothing: a recording has no line."""
        return {}

    async def set_bleed(self, string: str, cells: Sequence[int], bleed_frac: Sequence[float]) -> Outcome:
        """Refuse."""
        return _READ_ONLY

    async def stop_bleed(self) -> Outcome:
        """Nothing bleeds here: done."""
        return Applied()

    async def renew_hold(self, strings: Sequence[str]) -> None:
        """Do nothing: nothing bleeds here."""

    async def identify(self, string: str, cells: Sequence[int], on_s: float) -> Outcome:
        """Refuse."""
        return _READ_ONLY

    async def identify_address(self, bus: str, address: int, on_s: float) -> Outcome:
        """Refuse."""
        return _READ_ONLY

    async def measure_impedance(
        self, wanted: MeasureImpedance, forbidden: Callable[[], Refused | None]
    ) -> ImpedanceReadings | Refused | NoReply:
        """Refuse."""
        return _READ_ONLY

    async def search(self, bus: str) -> list[FoundModule] | Refused | NoReply:
        """Refuse."""
        return _READ_ONLY

    async def assign(self, bus: str, uid: str, address: int) -> Outcome:
        """Refuse."""
        return _READ_ONLY

    async def clear(self, bus: str, address: int) -> Outcome:
        """Refuse."""
        return _READ_ONLY
