"""Who is on a line: identities, the search of unaddressed modules, addresses that answer twice.

docs/bus-protocol.md, sections 7 and 8.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from bus_gateway.errors import ModuleSilentError
from bus_gateway.line.exchange import Exchange
from bus_gateway.line.line_turns import Priority
from bus_gateway.wire import encode
from bus_gateway.wire.decode import Kind
from bus_gateway.wire.decode_long import Identity, Met, identity, met
from bus_gateway.wire.frame import REPLY_BIT, LongFrame, find_frames
from bus_gateway.wire.timing import WHO_REPLY_BYTES

UNADDRESSED: Final = 0
LONGEST_IDENT: Final = 79
FIRST_BITS: Final = 8
FEWEST_BITS: Final = 2
DUPLICATE_BITS: Final = 4
QUICK_LOOK_BITS: Final = 2
SLOTS_PER_COLLISION: Final = 2.4
MAX_ROUNDS: Final = 40  # 240 modules take 8.4 on average; a line that never falls silent must not be searched for ever

_DEVICE_NAMES: Final[dict[int, str]] = {
    Kind.CURRENT: "current-sensor",
    Kind.CURRENT_LARGE: "current-sensor",
    Kind.CURRENT_FLOAT: "float-current-sensor",
    Kind.STRING_VOLTAGE: "string-voltage-sensor",
    Kind.AUX: "aux",
    Kind.AMBIENT: "ambient-sensor",
}
_MODEL_NAMES: Final = {0x0044: "c44", 0x0020: "c20", 0x0024: "c24"}


@dataclass(frozen=True, slots=True)
class WhoRound:
    """What one WHO met.

    Attributes:
        found: modules whose reply was intact.
        collided: estimated number of slots with bytes and no intact reply.
    """

    found: list[Met]
    collided: int


def type_name(who: Identity) -> str:
    """Return the module type as `site.toml` calls it; of a sensor or AUX device, what it is."""
    if who.kind in _DEVICE_NAMES:
        return _DEVICE_NAMES[who.kind]
    return _MODEL_NAMES.get(who.model, f"model-{who.model:04x}")


def sort_replies(data: bytes, tag: int) -> WhoRound:
    """Return who answered a WHO of this tag, and how many slots the other bytes may have filled.

    A stream of bytes does not tell slots apart, so collisions are counted by their bytes.
    """
    found, _ = find_frames(data, fast=False, long=True)
    replies = [frame for frame in found if isinstance(frame, LongFrame) and frame.type == encode.Type.WHO | REPLY_BIT]
    modules = [module for frame in replies if frame.tag == tag and (module := met(frame)) is not None]
    left = len(data) - sum(9 + len(frame.payload) for frame in found if isinstance(frame, LongFrame))
    return WhoRound(modules, -(-left // WHO_REPLY_BYTES))


async def ask_who(
    exchange: Exchange, address: int, bits: int, random: Random, *, forget_mutes: bool, priority: Priority
) -> WhoRound:
    """Ask once who is at an address; raises PortLostError, SecondMasterError."""
    tag = exchange.next_tag()
    request = encode.who(address, random.randrange(0x10000), bits, forget_mutes=forget_mutes, tag=tag)
    wait_s = exchange.timing.slots_end_s(1 << bits, WHO_REPLY_BYTES)
    return sort_replies(await exchange.collect(request, wait_s, priority), tag)


async def search(exchange: Exchange, random: Random, address: int = UNADDRESSED) -> list[Met]:
    """Return every module at an address, found by rounds until one stays silent; raises PortLostError."""
    everyone: dict[str, Met] = {}
    bits, forget = FIRST_BITS, True
    for _ in range(MAX_ROUNDS):
        heard = await ask_who(exchange, address, bits, random, forget_mutes=forget, priority=Priority.COMMAND)
        if not heard.found and not heard.collided:
            break
        everyone |= {module.uid: module for module in heard.found}
        uids = [module.uid for module in heard.found]
        for start in range(0, len(uids), encode.MAX_MUTES):
            await exchange.send(encode.mute(uids[start : start + encode.MAX_MUTES], exchange.next_tag()))
        bits, forget = _bits_for(heard.collided), False
    return list(everyone.values())


async def uids_at(exchange: Exchange, address: int, random: Random, bits: int, priority: Priority) -> set[str]:
    """Return the uids that answer at one address, asked twice with new seeds; raises PortLostError."""
    uids: set[str] = set()
    for _ in range(2):
        heard = await ask_who(exchange, address, bits, random, forget_mutes=True, priority=priority)
        uids |= {module.uid for module in heard.found}
        if len(heard.found) == 1 and not heard.collided and bits == QUICK_LOOK_BITS:
            break
    return uids


async def introduce(exchange: Exchange, address: int, priority: Priority) -> Identity | None:
    """Return the identity of the module at an address; None when it is silent or of another revision.

    Raises:
        PortLostError, SecondMasterError: the line has ended.
    """
    request = encode.ident(address, exchange.next_tag())
    try:
        return identity(await exchange.ask(request, LONGEST_IDENT, address=address, priority=priority))
    except ModuleSilentError:
        return None


async def introduce_uid(exchange: Exchange, uid: str) -> Identity | None:
    """Return the identity of a module by its uid; see `introduce`."""
    request = encode.ident_uid(uid, exchange.next_tag())
    try:
        return identity(await exchange.ask(request, LONGEST_IDENT, address=None))
    except ModuleSilentError:
        return None


def _bits_for(collided: int) -> int:
    slots = SLOTS_PER_COLLISION * collided
    return min(max(FEWEST_BITS, (max(1, int(slots + 0.999)) - 1).bit_length()), FIRST_BITS)
