"""Bleed set-points on one line: sent, read back, sent once more where they did not arrive."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
from cellkeeper.contract.outcomes import Applied, NoReply, Outcome, Refused

from bus_gateway.errors import ModuleSilentError, PortLostError
from bus_gateway.line.bleeding import set_point_frames
from bus_gateway.line.exchange import Exchange
from bus_gateway.line.line import Line
from bus_gateway.line.line_turns import Priority
from bus_gateway.line.sweep import SENSOR_PAGE
from bus_gateway.wire import encode
from bus_gateway.wire.decode import BleedCode
from bus_gateway.wire.frame import find_frames

_BLEED_BYTE_AT = 8  # docs/bus-protocol.md, section 2.2: `aux`, state at the moment of the reply


def open_exchange(line: Line) -> Exchange:
    """Return the exchange of a line; raises PortLostError while it has none."""
    if line.exchange is None:
        raise PortLostError(f"bus {line.bus.id} is not open")
    return line.exchange


async def order_duties(line: Line, duties: Mapping[int, int], sample_id: int) -> dict[int, int | None]:
    """Set duties (1/200) by address; return what each module shows afterwards, None where it is silent.

    Raises:
        PortLostError, SecondMasterError: the line has ended; the modules end their bleeds by themselves.
    """
    exchange = open_exchange(line)
    addresses = sorted(duties)
    rows = np.array([row for address in addresses if (row := line.row_of(address)) is not None], dtype=np.intp)
    wanted = np.array([duties[address] for address in addresses], dtype=np.uint8)
    line.set_points.ask(rows, wanted, asyncio.get_running_loop().time())
    shown: dict[int, int | None] = {}
    left = addresses
    for _ in range(2):
        for frame in set_point_frames(left, [duties[address] for address in left]):
            await exchange.send(frame.encoded(exchange.next_tag()))
        shown |= await read_back(exchange, left, sample_id)
        left = [address for address in left if shown[address] is None or (shown[address] or 0) != duties[address]]
        if not left:
            break
    return shown


async def read_back(exchange: Exchange, addresses: Sequence[int], sample_id: int) -> dict[int, int | None]:
    """Return each address's bleed byte of this moment, None without an intact reply; raises PortLostError."""
    shown: dict[int, int | None] = dict.fromkeys(addresses)
    for start in range(0, len(addresses), encode.MAX_TRAIN):
        asked = addresses[start : start + encode.MAX_TRAIN]
        request = encode.listed(asked, sample_id, SENSOR_PAGE, exchange.next_tag())
        for _ in range(2):
            data = await exchange.fast(request, len(asked), asked[-1])
            found, _ = find_frames(data, fast=True, long=False)
            shown |= {
                address: frame[_BLEED_BYTE_AT]
                for frame in found
                if isinstance(frame, bytes) and (address := frame[1] | frame[2] << 8) in shown
            }
            if all(shown[address] is not None for address in asked):
                break
    return shown


async def order_stop(line: Line, sample_id: int) -> dict[int, int | None]:
    """Broadcast zero and read back every module that may have bled; see `order_duties`."""
    exchange = open_exchange(line)
    line.set_points.stop()
    suspects = (line.bleed_byte <= encode.DUTY_STEPS) & (line.bleed_byte > 0) | (line.bleed_byte == encode.LEAVE_DUTY)
    suspects[: line.plan.sensor_rows] = False
    addresses = line.plan.addresses[suspects].tolist()
    shown: dict[int, int | None] = {}
    for _ in range(2):
        await exchange.send(encode.stop_all(exchange.next_tag()), Priority.STOP)
        shown |= await read_back(exchange, addresses, sample_id)
        addresses = [address for address in addresses if 0 < (shown[address] or 0) <= encode.DUTY_STEPS]
        if not addresses:
            break
    return shown


async def order_identify(line: Line, address: int, on_s: float) -> int | None:
    """Let one module blink; return its reply code, None where it is silent; raises PortLostError."""
    exchange = open_exchange(line)
    try:
        reply = await exchange.ask(encode.identify(address, on_s, exchange.next_tag()), 1, address=address)
    except ModuleSilentError:
        return None
    return reply.payload[0] if reply.payload else None


def bleed_outcome(wanted: Mapping[int, int], shown: Mapping[int, int | None], waited_s: float) -> Outcome:
    """Return how set-points ended, by cell number: any refusal counts before any silence."""
    refused = [
        f"cell {cell}: {_bleed_name(byte)}"
        for cell, byte in sorted(shown.items())
        if byte is not None and byte != wanted[cell] and not (wanted[cell] == 0 and byte > encode.DUTY_STEPS)
    ]
    if refused:
        return Refused(reason="module_refused", detail="; ".join(refused[:8]))
    silent = sorted(cell for cell, byte in shown.items() if byte is None)
    return NoReply(waited_s=waited_s, cells=silent) if silent else Applied()


def _bleed_name(byte: int) -> str:
    known = {int(code): code.name.lower() for code in BleedCode}
    return known.get(byte, f"shows duty {byte / encode.DUTY_STEPS:g}")
