"""Counters and gauges of a process, and the loopback page that shows them with its health."""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from cellkeeper.runtime.errors import StartRefusedError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

LOOPBACK: Final = "127.0.0.1"


class Metrics:
    """The metrics of one process; names begin with `cellkeeper_`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def counter(self, name: str, meaning: str, labels: Iterable[str] = ()) -> Counter:
        """Return a new counter `cellkeeper_<name>_total`."""
        return Counter(f"cellkeeper_{name}", meaning, list(labels), registry=self.registry)

    def gauge(self, name: str, meaning: str, labels: Iterable[str] = ()) -> Gauge:
        """Return a new gauge `cellkeeper_<name>`."""
        return Gauge(f"cellkeeper_{name}", meaning, list(labels), registry=self.registry)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # a client that says nothing does not hold a thread for ever

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Say nothing: scrapes are not events."""


class HealthPage:
    """Serves `/metrics`, `/healthz` (the process answers) and `/readyz` (it does its work) on loopback.

    Raises:
        StartRefusedError: by the constructor, when the port is in use.
    """

    def __init__(self, metrics: Metrics, is_ready: Callable[[], bool], port: int) -> None:
        self._metrics = metrics
        self._is_ready = is_ready
        try:
            self._server = make_server(LOOPBACK, port, self._answer, server_class=_Server, handler_class=_Quiet)
        except OSError as exc:
            raise StartRefusedError(
                f"the page for health and metrics cannot listen on port {port} ({exc.strerror}); "
                "stop what uses it, or set another CELLKEEPER_HTTP_PORT (0 for no page)"
            ) from exc
        self._thread = threading.Thread(target=self._server.serve_forever, name="health-page", daemon=True)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: "WSGIEnvironment", start: "StartResponse") -> list[bytes]:
        match environ.get("PATH_INFO"):
            case "/metrics":
                start("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
                return [generate_latest(self._metrics.registry)]
            case "/healthz":
                start("200 OK", [("Content-Type", "text/plain")])
                return [b"alive\n"]
            case "/readyz":
                ready = self._is_ready()
                start("200 OK" if ready else "503 Service Unavailable", [("Content-Type", "text/plain")])
                return [b"ready\n" if ready else b"not ready\n"]
            case _:
                start("404 Not Found", [("Content-Type", "text/plain")])
                return [b"there are /metrics, /healthz and /readyz\n"]
