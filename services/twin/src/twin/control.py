"""Telling a running twin what to do: a Unix socket in its state folder, one JSON object per line in each direction.

Requests are checked here and bounded; each gets one reply, `{"ok": true, ...}` or `{"ok": false, "why": ...}`.
"""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from twin.bus.wire_codec import Kind
from twin.errors import TwinAwayError, TwinError, TwinUseError
from twin.faults import FaultRequest
from twin.script.scenario import Scenario, load_scenario, shipped_scenario
from twin.twin_room import TwinRoom

SOCKET_NAME: Final = "control.sock"
MOST_LINE_BYTES: Final = 16 * 1024
MOST_CLIENTS: Final = 8
REPLY_DEADLINE_S: Final = 10.0  # a room of 4096 modules obeys in milliseconds; a busy machine may take longer
IDLE_DEADLINE_S: Final = 60.0

log = structlog.get_logger()


class Request(BaseModel):
    """A request of a person."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BeginFault(Request):
    """Begin a fault."""

    do: Literal["fault"]
    fault: FaultRequest


class ClearFault(Request):
    """End one fault by its number, or all that match."""

    do: Literal["clear"]
    number: Annotated[int, Field(ge=1)] | None = None
    fault: FaultRequest = FaultRequest("all")


class AskStatus(Request):
    """Say how the twin is."""

    do: Literal["status"]


class BeginOutage(Request):
    """Let mains fail for a while."""

    do: Literal["outage"]
    seconds: Annotated[float, Field(gt=0.0, le=604_800.0)] | None = None
    dcbus: str | None = None


class PlayScenario(Request):
    """Let the lines of a scenario happen from now on."""

    do: Literal["play"]
    scenario: Annotated[str, Field(max_length=255)]


class SetInput(Request):
    """Set an input of an AUX device."""

    do: Literal["input"]
    bus: str
    address: Annotated[int, Field(ge=1, le=0xFFEF)]
    number: Annotated[int, Field(ge=1, le=4)]
    active: bool


type AnyRequest = Annotated[
    BeginFault | ClearFault | AskStatus | BeginOutage | PlayScenario | SetInput, Field(discriminator="do")
]
_REQUEST: Final[TypeAdapter[AnyRequest]] = TypeAdapter(AnyRequest)


def obey(room: TwinRoom, line: bytes) -> dict[str, Any]:
    """Obey one line; never raises for what a person may write."""
    try:
        return {"ok": True} | _do(room, _REQUEST.validate_json(line))
    except ValidationError as exc:
        problem = exc.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        return {"ok": False, "why": f"{where or 'request'}: {problem['msg']}"}
    except TwinError as exc:
        return {"ok": False, "why": str(exc)}


def status(room: TwinRoom) -> dict[str, Any]:
    """Return how the twin is, as JSON."""
    return {
        "now": room.physics.now.isoformat(timespec="milliseconds"),
        "uptime_s": round(room.now.event_s, 3),
        "buses": [_bus_status(room, bus) for bus in room.lines],
        "dcbuses": [
            {
                "id": bus.id,
                "v": round(bus.v, 3),
                "a": round(bus.a, 3),
                "phase": bus.phase.name.lower(),
                "on_battery": bool(bus.on_battery),
            }
            for bus in room.physics.dcbus_states()
        ],
        "faults": [
            {"number": fault.number, "kind": fault.request.kind}
            | {"string": fault.request.string, "cell": fault.request.cell, "bus": fault.request.bus}
            | {"value": fault.request.value, "ends_in_s": _left_s(fault.end_s, room.now.event_s)}
            for fault in room.faults.acting
        ],
        "refused": list(room.refusals),
    }


async def serve_control(room: TwinRoom, folder: Path, listening: asyncio.Event) -> None:
    """Answer requests on the socket in `folder` until cancelled; sets `listening` when it can be asked."""
    clients = 0

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal clients
        clients += 1
        try:
            if clients <= MOST_CLIENTS:
                await _talk(room, reader, writer)
        except (TimeoutError, ValueError, ConnectionError) as exc:  # a slow, too long or vanished client
            log.info("control.client_dropped", why=str(exc) or type(exc).__name__)
        finally:
            clients -= 1
            writer.close()

    _free(folder)
    with socket_path(folder) as path:
        server = await asyncio.start_unix_server(client, path, limit=MOST_LINE_BYTES)
        listening.set()
        try:
            await server.serve_forever()
        finally:
            server.close()
            _free(folder)


def ask(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the twin whose state folder is `folder`; return its reply.

    Raises:
        TwinAwayError: nobody answers.
        TwinUseError: the twin refuses; the text says why.
    """
    try:
        with socket_path(folder) as path, socket.socket(socket.AF_UNIX) as line:
            line.settimeout(REPLY_DEADLINE_S)
            line.connect(path)
            line.sendall(json.dumps(request).encode() + b"\n")
            answer = line.makefile("rb").readline()
    except OSError as exc:
        raise TwinAwayError(
            f"no twin answers in {folder} ({exc.strerror or exc}); start it, or set CELLKEEPER_STATE_DIR as it has it"
        ) from exc
    reply: dict[str, Any] = json.loads(answer or b'{"ok": false, "why": "the twin hung up"}')
    if not reply.pop("ok"):
        raise TwinUseError(str(reply.get("why")))
    return reply


@contextmanager
def socket_path(folder: Path) -> Iterator[str]:
    """Give a name of the socket that fits the kernel's 108 bytes however deep the folder lies."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET_NAME}"
    finally:
        with suppress(OSError):
            os.close(fd)


def _free(folder: Path) -> None:
    """Take the name of the socket away; the service's lock says that nobody else listens there."""
    (folder / SOCKET_NAME).unlink(missing_ok=True)


async def _talk(room: TwinRoom, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        async with asyncio.timeout(IDLE_DEADLINE_S):
            line = await reader.readline()
        if not line:
            return
        writer.write(json.dumps(obey(room, line)).encode() + b"\n")
        async with asyncio.timeout(REPLY_DEADLINE_S):
            await writer.drain()


def _do(room: TwinRoom, request: AnyRequest) -> dict[str, Any]:
    match request:
        case BeginFault():
            return {"number": room.begin_fault(request.fault)}
        case ClearFault(number=None):
            return {"cleared": room.faults.clear_matching(request.fault)}
        case ClearFault(number=number):
            assert number is not None
            room.faults.clear(number)
            return {"cleared": [number]}
        case AskStatus():
            return status(room)
        case BeginOutage():
            room.outage(request.seconds, request.dcbus)
        case PlayScenario():
            room.play(scenario_of(request.scenario))
        case SetInput():
            _set_input(room, request)
    return {}


def scenario_of(name: str) -> Scenario:
    """Return a scenario by the name of a shipped one, or from a file that ends in .toml; raises TwinFileError."""
    path = Path(name)
    return load_scenario(path) if path.suffix == ".toml" else shipped_scenario(name)


def _set_input(room: TwinRoom, request: SetInput) -> None:
    line = room.lines.get(request.bus)
    rows = [] if line is None else line.bank.book.rows(request.address)
    if line is None or not rows or line.bank.state.rated.kind[rows[0]] != Kind.AUX:
        raise TwinUseError(f"no AUX device at address {request.address} of bus {request.bus!r}")
    bit = 1 << request.number - 1
    before = int(line.bank.state.relays.inputs[rows[0]])
    line.bank.state.relays.inputs[rows[0]] = before | bit if request.active else before & ~bit


def _bus_status(room: TwinRoom, bus: str) -> dict[str, Any]:
    line = room.lines[bus]
    sweep = line.clock.sweep()
    counters = line.bank.state.counters
    found: dict[str, Any] = {
        "id": bus,
        "baud": line.timing.baud,
        "modules": line.bank.state.size,
        "hearing": int(line.bank.ears.sum()),
        "bleeding": int((line.bank.state.duty > 0).sum()),
        "requests": counters.rx_frames,
        "header_errors": counters.header_errors,
        "crc_errors": counters.crc_errors,
        "collisions": line.clock.collisions,
        "plugged": bus not in room.unplugged,
    }
    if sweep is not None:
        found |= {
            "sweep_s": round(sweep.duration_s, 6),
            "replies": sweep.replies,
            "utilisation_frac": round(sweep.utilisation_frac, 4),
            "net_frac": round(sweep.net_frac, 4),
            "handed_ms": [[sample_id, round(at_ms, 3)] for sample_id, at_ms in line.clock.handed],
        }
    return found


def _left_s(end_s: float, now_s: float) -> float | None:
    return None if end_s == float("inf") else round(end_s - now_s, 3)
