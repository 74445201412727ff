"""Where a master plugs in: a pseudo-terminal or a TCP listener per bus, at the port that `site.toml` names.

One writer per line; `paced_writer` knows when bytes are due.
"""

import asyncio
import os
import tty
from pathlib import Path
from typing import Final, Protocol

import structlog

from twin.bus.paced_writer import MOST_UNREAD_BYTES, PacedWriter
from twin.bus.transmitter import Emission
from twin.errors import TwinPortError

READ_BYTES: Final = 4096
QUIET_S: Final = 0.05  # silence on a byte stream without time: bus-protocol.md, 2.3
SOCKET_SCHEME: Final = "socket://"

log = structlog.get_logger()


class LineEnd(Protocol):
    """What a port asks of a line."""

    def feed(self, data: bytes) -> list[Emission]:
        """Take the master's bytes now; return what comes back and when."""

    def idle(self) -> list[Emission]:
        """Let silence pass."""

    @property
    def waiting(self) -> bool:
        """Whether silence can bring something."""

    def handed_over(self, end_s: float) -> None:
        """Note that bytes that ended at `end_s` on the line's clock were given to the master now."""


class Port:
    """What all ports share: bytes in, bytes out in time, and the look at silence."""

    def __init__(self, name: str, line: LineEnd, *, paced: bool) -> None:
        self.name: Final = name
        self.writer: Final = PacedWriter(self._hand_over, paced=paced)
        self._line: Final = line
        self._look: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open the port; raises TwinPortError."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the port and take its name away; nothing when it is closed."""
        self.writer.forget()
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def write(self, data: bytes) -> None:
        """Hand bytes to the master."""
        raise NotImplementedError

    def _hand_over(self, emission: Emission) -> None:
        end_s, data = emission
        self.write(data)
        self._line.handed_over(end_s)

    def received(self, data: bytes) -> None:
        """Take bytes of the master."""
        self.writer.give(self._line.feed(data))
        self._watch()

    def _watch(self) -> None:
        if self._line.waiting and self._look is None:
            self._look = asyncio.get_running_loop().call_later(QUIET_S, self._silence)

    def _silence(self) -> None:
        self._look = None
        self.writer.give(self._line.idle())
        self._watch()


class PtyPort(Port):
    """A pseudo-terminal behind a symbolic link at the path of the site file."""

    def __init__(self, path: Path, line: LineEnd, *, paced: bool) -> None:
        super().__init__(str(path), line, paced=paced)
        self.path: Final = path
        self.lost_bytes = 0
        self._fds: tuple[int, int] | None = None
        self._unsent = bytearray()

    async def open(self) -> None:
        """Open the terminal and put the link there; an old link of a terminal is replaced, nothing else."""
        if self._fds is not None:
            return
        self._clear_path()
        ours, theirs = os.openpty()
        tty.setraw(ours)
        tty.setraw(theirs)
        os.set_blocking(ours, False)  # the standard library's own signature
        self._fds = ours, theirs  # the far end stays open, so that a master may come and go
        self.path.symlink_to(os.ttyname(theirs))
        asyncio.get_running_loop().add_reader(ours, self._readable)

    def close(self) -> None:
        """Close both ends: a master sees its port fail."""
        super().close()
        if self._fds is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fds[0])
        loop.remove_writer(self._fds[0])
        ours_name = os.ttyname(self._fds[1])
        for fd in self._fds:
            os.close(fd)
        self._fds = None
        self._unsent.clear()
        if self.path.is_symlink() and str(self.path.readlink()) == ours_name:
            self.path.unlink()

    def write(self, data: bytes) -> None:
        """Hand bytes to the terminal; what it cannot take waits, bounded."""
        if self._fds is None:
            return
        if len(self._unsent) + len(data) > MOST_UNREAD_BYTES:
            self.lost_bytes += len(data)
            return
        self._unsent += data
        self._flush()

    def _flush(self) -> None:
        assert self._fds is not None
        loop = asyncio.get_running_loop()
        try:
            del self._unsent[: os.write(self._fds[0], self._unsent)]
        except BlockingIOError:
            pass
        except OSError as exc:
            log.warning("port.write_failed", port=self.name, error=exc.strerror)
            self._unsent.clear()
        if self._unsent:
            loop.add_writer(self._fds[0], self._flush)
        else:
            loop.remove_writer(self._fds[0])

    def _readable(self) -> None:
        assert self._fds is not None
        try:
            data = os.read(self._fds[0], READ_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            log.warning("port.read_failed", port=self.name, error=exc.strerror)
            return
        if data:
            self.received(data)

    def _clear_path(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_symlink() and str(self.path.readlink()).startswith("/dev/pts/"):
                self.path.unlink()
        except OSError as exc:
            raise TwinPortError(f"port {self.path}: {exc.strerror}; choose a path that the twin may write") from exc
        if self.path.is_symlink() or self.path.exists():
            raise TwinPortError(f"port {self.path} is something else already; the twin does not replace it")
        if not os.access(self.path.parent, os.W_OK):
            raise TwinPortError(
                f"port {self.path}: {self.path.parent} is not writable; choose a path the twin may write"
            )


class TcpPort(Port):
    """A listener that serves one master at a time, as a serial server does; a second one is turned away."""

    def __init__(self, address: str, line: LineEnd, *, paced: bool) -> None:
        super().__init__(address, line, paced=paced)
        host, _, port = address.removeprefix(SOCKET_SCHEME).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise TwinPortError(f"port {address!r}: write it as socket://127.0.0.1:4001")
        self._address: Final = host.strip("[]"), int(port)
        self._server: asyncio.Server | None = None
        self._master: asyncio.WriteTransport | None = None

    async def open(self) -> None:
        """Listen."""
        if self._server is not None:
            return
        try:
            self._server = await asyncio.get_running_loop().create_server(lambda: _Master(self), *self._address)
        except OSError as exc:
            raise TwinPortError(f"port {self.name}: cannot listen ({exc.strerror}); is it in use?") from exc

    def close(self) -> None:
        """Stop listening and hang up."""
        super().close()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._master is not None:
            self._master.abort()
            self._master = None

    def write(self, data: bytes) -> None:
        """Send bytes to the master that is connected."""
        if self._master is not None and self._master.get_write_buffer_size() < MOST_UNREAD_BYTES:
            self._master.write(data)

    def came(self, transport: asyncio.WriteTransport) -> bool:
        """Take a master; False when there is one."""
        if self._master is not None:
            return False
        self._master = transport
        return True

    def went(self, transport: asyncio.BaseTransport) -> None:
        """Note that a master has hung up."""
        if transport is self._master:
            self._master = None
            self.writer.forget()


class _Master(asyncio.Protocol):
    """One connection of a TCP port."""

    def __init__(self, port: TcpPort) -> None:
        self._port: Final = port
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._port.came(transport):
            self._transport = transport
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._port.received(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the interface of asyncio
        if self._transport is not None:
            self._port.went(self._transport)


def port_for(address: str, line: LineEnd, *, paced: bool) -> Port:
    """Return the port for `port` of a bus, not yet open; raises TwinPortError."""
    if address.startswith(SOCKET_SCHEME):
        return TcpPort(address, line, paced=paced)
    return PtyPort(Path(address), line, paced=paced)
