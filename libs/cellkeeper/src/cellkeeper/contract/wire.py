"""Payload models to bytes and back, with the size cap that the broker has too."""

from typing import Final

import orjson
from pydantic import BaseModel, ValidationError

from cellkeeper.contract.payload import Request, Telemetry

MAX_PAYLOAD_BYTES: Final = 262_144  # the broker's max_packet_size: a 480-cell estimate is 35 kB


class PayloadRefusedError(ValueError):
    """The bytes are not a payload of this kind: drop the message and count it."""


def encode(payload: Telemetry | Request) -> bytes:
    """Return the UTF-8 JSON object of a payload.

    Raises:
        PayloadRefusedError: it would not fit through the broker.
    """
    body = payload.model_dump(mode="json")
    for key in payload.absent_if_none:
        if body.get(key) is None:
            body.pop(key, None)
    raw = orjson.dumps(body)
    require_small(raw)
    return raw


def decode[P: BaseModel](model: type[P], raw: bytes) -> P:
    """Return the payload in `raw`.

    Raises:
        PayloadRefusedError: too large, not JSON, or not what the model allows; the text says what.
    """
    require_small(raw)
    try:
        return model.model_validate_json(raw)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "payload"
        raise PayloadRefusedError(f"{model.__name__}.{where}: {first['msg']}") from exc


def require_small(raw: bytes) -> None:
    """Raise PayloadRefusedError when `raw` is larger than the broker lets through."""
    if len(raw) > MAX_PAYLOAD_BYTES:
        raise PayloadRefusedError(f"{len(raw)} bytes, limit {MAX_PAYLOAD_BYTES}")
