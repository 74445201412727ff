"""Serves the API on loopback inside the historian's event loop."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from cellkeeper.runtime.errors import StartRefusedError
from fastapi import FastAPI

LOOPBACK: Final = "127.0.0.1"
MAX_CONNECTIONS: Final = 64
KEEP_ALIVE_S: Final = 20


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the service."""
        yield


async def serve_api(api: FastAPI, port: int) -> None:
    """Serve until cancelled.

    Raises:
        StartRefusedError: the port cannot be had.
    """
    try:
        bound = socket.create_server((LOOPBACK, port))
        # inherited by accepted connections; asyncio sets it only on sockets made with an explicit protocol, and a small
        # answer on a kept connection waits 40 ms for a delayed acknowledgement without it
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as exc:
        raise StartRefusedError(
            f"port {port} on {LOOPBACK} is taken; choose another CELLKEEPER_HTTP_PORT or stop what has it"
        ) from exc
    config = uvicorn.Config(
        api,
        log_config=None,
        access_log=False,
        lifespan="off",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    with bound:
        await _Server(config).serve(sockets=[bound])
