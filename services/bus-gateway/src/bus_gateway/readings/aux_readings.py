"""What an AUX device says in a sweep: inputs, relays, supply."""

from collections.abc import Iterator

from cellkeeper.contract.physical import Quality

from bus_gateway.driver import AuxReadings
from bus_gateway.line.line import Line
from bus_gateway.wire.decode import FastColumns, Flags, Kind, supply_v


def aux_readings(line: Line, replies: FastColumns, answered: Flags, measured_ms: int) -> Iterator[AuxReadings]:
    """Yield the readings of every AUX device of a line that has introduced itself.

    Args:
        line: whose sensor rows were read.
        replies: (n,) of the sensor rows, rubbish where not answered.
        answered: (n,) who answered.
        measured_ms: event time at which the sample window began.
    """
    for sensor in line.plan.sensors:
        who = line.identities.get(sensor.address)
        if sensor.kind != "aux" or who is None:
            continue
        row = sensor.row
        is_read = (
            bool(answered[row]) and replies.kind[row] == Kind.AUX and (replies.code is None or not replies.code[row])
        )
        bits = int(replies.value[row]) if is_read else 0
        yield AuxReadings(
            serial=who.serial,
            bus=line.bus.id,
            address=sensor.address,
            measured_ms=measured_ms,
            inputs=_four(bits, 0, faults=bits >> 12, is_read=is_read),
            relays=_four(bits, 4, faults=0, is_read=is_read),
            supply_v=supply_v(int(replies.aux[row])) if is_read else None,
            quality=Quality.GOOD if is_read else Quality.BUS_ERROR if answered[row] else Quality.SILENT,
        )


def _four(
    bits: int, first: int, *, faults: int, is_read: bool
) -> tuple[bool | None, bool | None, bool | None, bool | None]:
    """Return four bits from `first`; None where not read or where the wiring of an input is faulty."""
    a, b, c, d = (bool(bits >> (first + n) & 1) if is_read and not faults >> n & 1 else None for n in range(4))
    return a, b, c, d
