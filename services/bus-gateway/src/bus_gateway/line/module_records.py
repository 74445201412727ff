"""Devices of a line as the suite knows them."""

from typing import Final, Literal

from bus_gateway.driver import ModuleRecord
from bus_gateway.line.discovery import type_name
from bus_gateway.line.line import Line
from bus_gateway.wire.decode import SHOWN_STATUS, Kind
from bus_gateway.wire.decode_long import Identity

type DeviceKind = Literal["cell", "block", "current", "float_current", "string_voltage", "aux", "ambient"]

_KINDS: Final[dict[int, DeviceKind]] = {
    Kind.CELL: "cell",
    Kind.BLOCK: "block",
    Kind.CURRENT: "current",
    Kind.CURRENT_LARGE: "current",
    Kind.CURRENT_FLOAT: "float_current",
    Kind.STRING_VOLTAGE: "string_voltage",
    Kind.AUX: "aux",
    Kind.AMBIENT: "ambient",
}


class ModuleRecords:
    """The devices of a line; a record is made again only when its device says something else.

    Args:
        line: whose devices.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._places: dict[int, tuple[str | None, int | None]] = {
            sensor.row: (sensor.string, None) for sensor in line.plan.sensors
        }
        for segment in line.plan.segments:
            for row in range(segment.start, segment.stop):
                self._places[row] = (segment.string, segment.first_cell + row - segment.start + 1)
        self._made: dict[int, tuple[Identity, ModuleRecord]] = {}

    def newest(self) -> list[ModuleRecord]:
        """Return every device that has introduced itself and that the site describes."""
        line, before = self._line, self._made
        status = (line.status & SHOWN_STATUS).tolist()
        silent = line.silent_rows().tolist()
        self._made = {}
        for address, who in line.identities.items():
            row = line.row_of(address)
            if row is None or who.kind not in _KINDS:
                continue
            known, record = before.get(address, (None, None))
            if record is None or known is not who or (record.status, record.silent) != (status[row], silent[row]):
                record = self._record(row, who, status[row], is_silent=silent[row])
            self._made[address] = (who, record)
        return [record for _, record in self._made.values()]

    def _record(self, row: int, who: Identity, status: int, *, is_silent: bool) -> ModuleRecord:
        string, cell = self._places[row]
        return ModuleRecord(
            serial=who.serial,
            uid=who.uid,
            kind=_KINDS[who.kind],
            type=type_name(who),
            hardware=who.hardware,
            firmware=who.firmware,
            bus=self._line.bus.id,
            address=int(self._line.plan.addresses[row]),
            string=string,
            cell=cell,
            status=status,
            resets=who.resets,
            silent=is_silent,
        )
