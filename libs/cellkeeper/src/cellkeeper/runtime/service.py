"""The life of a service: lock, signals, presence, and an orderly end."""

import asyncio
import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

import structlog

from cellkeeper import __version__
from cellkeeper.contract.channels import EVENT, PRESENCE
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.notices import MAX_EVENT_TEXT, Event, Presence
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.errors import RuntimeProblemError, StartRefusedError
from cellkeeper.runtime.logs import configure_logs
from cellkeeper.runtime.session import LastWill, Session
from cellkeeper.runtime.settings import ServiceSettings

MAX_EVENTS_WAITING: Final = 500  # events while the broker is away; the oldest are dropped and counted
_PR_SET_PDEATHSIG: Final = 1

log = structlog.get_logger()

type PresenceState = Literal["starting", "ready", "degraded", "gone"]
type Severity = Literal["info", "warning", "error"]
type Datum = str | int | float | bool | None


@dataclass(slots=True)
class ServiceVoice:
    """How a service speaks of itself: its presence (retained) and its events, over one session."""

    site: str
    service: str
    clock: Clock
    session: Session
    state: PresenceState = "starting"
    why: str = ""
    dropped_events: int = 0
    _waiting: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session.will = LastWill(self._presence_topic(), self._presence_payload("gone", "connection lost"))
        self.session.on_link(self._on_link)

    def be(self, state: PresenceState, why: str = "") -> None:
        """Take a state and publish it when it is new."""
        if (state, why) != (self.state, self.why):
            self.state, self.why = state, why
            self._publish_presence()

    def event(
        self,
        kind: str,
        severity: Severity,
        text: str,
        *,
        string: str | None = None,
        cell: int | None = None,
        **data: Datum,
    ) -> None:
        """Log an event and publish it; while the broker is away it waits here, bounded."""
        {"info": log.info, "warning": log.warning, "error": log.error}[severity](kind, text=text, **data)
        body = Event(
            id=uuid4().hex,
            at=from_ms(self.clock.now_ms()),
            service=self.service,
            kind=kind,
            severity=severity,
            text=text[:MAX_EVENT_TEXT],
            string=string,
            cell=cell,
            data=data,
        )
        topic = EVENT.topic(site=self.site, service=self.service)
        payload = encode(body)
        if not self.session.publish(topic, payload, qos=EVENT.qos):
            self._waiting.append((topic, payload))
            self.dropped_events += max(0, len(self._waiting) - MAX_EVENTS_WAITING)
            del self._waiting[:-MAX_EVENTS_WAITING]

    def _on_link(self) -> None:
        self._publish_presence()
        waiting, self._waiting = self._waiting, []
        self._waiting = [
            (topic, payload) for topic, payload in waiting if not self.session.publish(topic, payload, qos=EVENT.qos)
        ]

    def _publish_presence(self) -> None:
        payload = self._presence_payload(self.state, self.why)
        self.session.publish(self._presence_topic(), payload, qos=PRESENCE.qos, retain=PRESENCE.retain)

    def _presence_topic(self) -> str:
        return PRESENCE.topic(site=self.site, service=self.service)

    def _presence_payload(self, state: PresenceState, why: str) -> bytes:
        at = from_ms(self.clock.now_ms())
        why = why[:MAX_EVENT_TEXT]
        return encode(Presence(service=self.service, state=state, why=why, at=at, version=__version__))


def open_voice(settings: ServiceSettings, site: str, clock: Clock, *, keep_session: bool = False) -> ServiceVoice:
    """Return the voice of a service with its session, not yet running."""
    session = Session(
        address=settings.broker_address(), client_id=f"{site}-{settings.service}", keep_session=keep_session
    )
    return ServiceVoice(site=site, service=settings.service, clock=clock, session=session)


@contextmanager
def only_instance(folder: Path, service: str) -> Iterator[None]:
    """Hold the service's lock file; the kernel frees it however the process ends.

    Raises:
        StartRefusedError: another process holds it.
    """
    path = folder / f"{service}.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.seek(0)
            raise StartRefusedError(
                f"service {service!r} already runs here (process {lock.read(20).strip() or 'unknown'}, {path}); "
                "stop it, or give this one another CELLKEEPER_SERVICE and CELLKEEPER_STATE_DIR"
            ) from exc
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


async def run_until_signal(voice: ServiceVoice, work: Callable[[], Awaitable[None]]) -> None:
    """Run the session and `work` until SIGTERM or SIGINT, then say `gone` and end both.

    Raises:
        RuntimeProblemError: as the session or the work raised it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def until_stop(job: Awaitable[None]) -> None:
        await job

    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(until_stop(voice.session.run()), name="session"),
                tasks.create_task(until_stop(work()), name="work"),
            ]
            await stop.wait()
            voice.be("gone", "stopped")
            await asyncio.sleep(0.1)  # the last words leave before the connection closes
            for task in running:
                task.cancel()
    except* RuntimeProblemError as group:
        raise group.exceptions[0] from group


def serve(
    settings_type: type[ServiceSettings], service: str, body: Callable[[ServiceSettings], Awaitable[None]]
) -> int:
    """Run a service's `body` as a process and return its exit code (0 ok, 1 failed).

    Args:
        settings_type: the service's settings.
        service: the default of the instance id.
        body: the composition root, given the settings.
    """
    try:
        settings = settings_type.from_environment(service=service)
        configure_logs(settings.service, form=settings.log_format, level=settings.log_level)
        if settings.die_with_parent:
            end_with_parent()
        with only_instance(settings.own_dir(), settings.service):
            asyncio.run(_as_coroutine(body, settings))
    except RuntimeProblemError as exc:
        sys.stderr.write(f"{service}: {exc}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _as_coroutine(body: Callable[[ServiceSettings], Awaitable[None]], settings: ServiceSettings) -> None:
    await body(settings)


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the supervising process ends, also by kill -9 (Linux prctl)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == 1:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGTERM)
