"""Commissioning of one line: search, addresses by uid. A person decides, the effect is read back."""

from random import Random
from typing import Final

from cellkeeper.contract.outcomes import Applied, FoundModule, NoReply, Outcome, Refused

from bus_gateway.errors import ModuleSilentError
from bus_gateway.line.bleed_orders import open_exchange
from bus_gateway.line.discovery import DUPLICATE_BITS, introduce, introduce_uid, search, type_name, uids_at
from bus_gateway.line.line import Line
from bus_gateway.line.line_turns import Priority
from bus_gateway.wire import encode
from bus_gateway.wire.decode_long import Identity, ReplyCode, reply_code, uid_in
from bus_gateway.wire.frame import LongFrame

_UID_REPLY: Final = 9


async def search_line(line: Line, random: Random) -> list[FoundModule] | Refused | NoReply:
    """Find unaddressed modules, and all modules at addresses that are known to answer twice; raises PortLostError."""
    exchange = open_exchange(line)
    found = [
        _found(met.uid, met.address, await introduce_uid(exchange, met.uid), is_duplicate=False)
        for met in await search(exchange, random)
    ]
    for address in sorted(line.duplicates):
        uids = sorted(await uids_at(exchange, address, random, DUPLICATE_BITS, Priority.COMMAND))
        found += [_found(uid, address, await introduce_uid(exchange, uid), is_duplicate=True) for uid in uids]
    return found


async def assign_address(line: Line, uid: str, address: int, random: Random) -> Outcome:
    """Give the module with this uid an address that nobody else answers at; raises PortLostError."""
    exchange = open_exchange(line)
    others = await uids_at(exchange, address, random, DUPLICATE_BITS, Priority.COMMAND) - {uid.zfill(16)}
    if others:
        return Refused(reason="module_refused", detail=f"address {address} is in use by {', '.join(sorted(others))}")
    request = encode.assign(uid, address, exchange.next_tag())
    try:
        reply = await exchange.ask(request, _UID_REPLY, address=None, flash=True)
    except ModuleSilentError:
        return NoReply(waited_s=_waited_s(line))
    if (refusal := _refusal(reply, uid)) is not None:
        return refusal
    if reply.address != address:
        return Refused(reason="module_refused", detail=f"the module answers as {reply.address}, not as {address}")
    who = await introduce(exchange, address, Priority.COMMAND)
    if who is None:
        return NoReply(waited_s=_waited_s(line))
    line.introduced(address, who)
    line.duplicates.discard(address)
    return Applied(found=[_found(who.uid, address, who, is_duplicate=False)])


async def clear_address(line: Line, address: int, random: Random) -> Outcome:
    """Make the one module at an address unaddressed; raises PortLostError."""
    exchange = open_exchange(line)
    uids = sorted(await uids_at(exchange, address, random, DUPLICATE_BITS, Priority.COMMAND))
    if len(uids) > 1:
        return Refused(reason="unknown_target", detail=f"address {address} answers as {' and '.join(uids)}")
    if not uids:
        return NoReply(waited_s=_waited_s(line))
    try:
        reply = await exchange.ask(encode.clear(uids[0], exchange.next_tag()), _UID_REPLY, address=None, flash=True)
    except ModuleSilentError:
        return NoReply(waited_s=_waited_s(line))
    if (refusal := _refusal(reply, uids[0])) is not None:
        return refusal
    line.identities.pop(address, None)
    return Applied()


def _refusal(reply: LongFrame, uid: str) -> Refused | None:
    code = reply_code(reply)
    if code is not ReplyCode.OK:
        return Refused(reason="module_refused", detail=code.name.lower())
    if uid_in(reply) != uid.zfill(16):
        return Refused(reason="module_refused", detail=f"another module answered: {uid_in(reply)}")
    return None


def _found(uid: str, address: int, who: Identity | None, *, is_duplicate: bool) -> FoundModule:
    return FoundModule(
        uid=uid,
        address=address,
        serial="" if who is None else who.serial,
        type="" if who is None else type_name(who),
        firmware="" if who is None else who.firmware,
        duplicate=is_duplicate,
    )


def _waited_s(line: Line) -> float:
    return round(3 * line.timing.reply_timeout_s(_UID_REPLY, flash=True), 3)
