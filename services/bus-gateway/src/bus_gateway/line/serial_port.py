"""Bytes in and out of a serial device, a pty or a TCP serial server; the only file that imports `serial`.

A port belongs to one process: a device is locked, a `socket://` port by a name that ends with the process.
"""

import contextlib
import errno
import os
import socket
import termios
from pathlib import Path
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

import serial

from bus_gateway.errors import PortLostError, PortTakenError

READ_BYTES: Final = 65_536
CONNECT_S: Final = 3.0  # a serial server on the same network answers far sooner
UART_SLACK_S: Final = 0.005  # docs/bus-protocol.md, section 3: the host's own latency
USB_SLACK_S: Final = 0.020
STREAM_SLACK_S: Final = 0.050
_SOCKET: Final = "socket://"


class BytePort(Protocol):
    """An open port.

    Attributes:
        name: how messages call it.
        slack_s: the host's own latency to allow for.
        is_stream: bytes without wire time, where no pause has to be kept.
    """

    name: str
    slack_s: float
    is_stream: bool

    def fileno(self) -> int:
        """Return the descriptor to wait on."""

    def read(self) -> bytes:
        """Return what has arrived, perhaps nothing; raises PortLostError."""

    def write(self, data: bytes) -> None:
        """Send all of `data`; raises PortLostError."""

    def close(self) -> None:
        """Let go of the port; never raises."""


class _Descriptor:
    """Reads and writes a non-blocking descriptor."""

    def __init__(self, name: str, descriptor: int, slack_s: float, *, is_stream: bool) -> None:
        self.name = name
        self.slack_s = slack_s
        self.is_stream = is_stream
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._descriptor

    def read(self) -> bytes:
        """Return what has arrived, perhaps nothing.

        Raises:
            PortLostError: the other end is gone.
        """
        try:
            chunk = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as exc:
            raise PortLostError(f"{self.name}: {exc.strerror}") from exc
        if not chunk:
            raise PortLostError(f"{self.name}: the other end is gone")
        return chunk

    def write(self, data: bytes) -> None:
        """Send all of `data`; a request is far smaller than any transmit buffer.

        Raises:
            PortLostError: the other end is gone or has taken nothing for a long time.
        """
        try:
            sent = os.write(self._descriptor, data)
        except OSError as exc:
            raise PortLostError(f"{self.name}: {exc.strerror}") from exc
        if sent != len(data):
            raise PortLostError(f"{self.name}: the transmit buffer is full, nobody takes what is sent")


class DevicePort(_Descriptor):
    """A serial device or a pty, locked for this process."""

    def __init__(self, path: str, device: serial.Serial, slack_s: float, *, is_stream: bool) -> None:
        super().__init__(path, device.fileno(), slack_s, is_stream=is_stream)
        self._device = device

    @classmethod
    def open(cls, path: str, baud: int) -> Self:
        """Open and lock a device.

        Raises:
            PortTakenError: another process holds it.
            PortLostError: it is not there or refuses the baud rate.
        """
        try:
            device = serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True)
        except (serial.SerialException, ValueError, OSError) as exc:
            if _is_taken(exc):
                raise PortTakenError(
                    f"{path} is held by another process; stop it, then this gateway takes over"
                ) from exc
            raise PortLostError(f"{path}: {exc}") from exc
        target = str(Path(path).resolve())
        is_stream = target.startswith("/dev/pts/")
        slack_s = (
            STREAM_SLACK_S
            if is_stream
            else UART_SLACK_S
            if "USB" not in target and "ACM" not in target
            else USB_SLACK_S
        )
        try:
            _tune(device)
        except (termios.error, OSError) as exc:
            device.close()
            raise PortLostError(f"{path}: {exc}") from exc
        return cls(path, device, slack_s, is_stream=is_stream)

    def close(self) -> None:
        """Let go of the device and its lock."""
        with contextlib.suppress(OSError, termios.error):
            self._device.close()


class SocketPort(_Descriptor):
    """A serial server over TCP, or the twin's TCP line."""

    def __init__(self, url: str, link: socket.socket, lock: socket.socket) -> None:
        super().__init__(url, link.fileno(), STREAM_SLACK_S, is_stream=True)
        self._link = link
        self._lock = lock

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect, and take the name that stands for this line on this machine.

        Raises:
            PortTakenError: another process of this machine uses the line.
            PortLostError: nobody listens there, or the address makes no sense.
        """
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0cellkeeper-bus-{url}")
        except OSError as exc:
            lock.close()
            raise PortTakenError(f"{url} is held by another process; stop it, then this gateway takes over") from exc
        try:
            parts = urlsplit(url)
            link = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=CONNECT_S)
        except (OSError, ValueError) as exc:
            lock.close()
            raise PortLostError(f"{url}: {exc}") from exc
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.settimeout(0.0)
        return cls(url, link, lock)

    def close(self) -> None:
        """Hang up and free the name."""
        self._link.close()
        self._lock.close()


def open_port(url: str, baud: int) -> BytePort:
    """Open a device path, a pty path or `socket://host:port`; connecting takes at most 3 s.

    Raises:
        PortTakenError: another process holds it: keep off the bus.
        PortLostError: it is not there: try again later.
    """
    if url.startswith(_SOCKET):
        return SocketPort.open(url)
    return DevicePort.open(url, baud)


def _slack_s(device: str) -> float:
    return USB_SLACK_S if "USB" in device or "ACM" in device else UART_SLACK_S


def _is_taken(exc: Exception) -> bool:
    return "exclusively lock" in str(exc) or getattr(exc, "errno", None) in {errno.EBUSY, errno.EWOULDBLOCK}


def _tune(device: serial.Serial) -> None:
    """Make reads tell "nothing yet" from "unplugged", and ask the driver not to collect bytes for 16 ms."""
    settings = termios.tcgetattr(device.fileno())
    settings[6][termios.VMIN] = 1
    settings[6][termios.VTIME] = 0
    termios.tcsetattr(device.fileno(), termios.TCSANOW, settings)
    with contextlib.suppress(OSError, ValueError, NotImplementedError):
        device.set_low_latency_mode(True)
    with contextlib.suppress(OSError, termios.error):
        device.reset_input_buffer()
