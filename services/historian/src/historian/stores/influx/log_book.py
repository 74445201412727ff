"""Events, sweeps and what services tell of strings, in bucket `log`; while the server is away they wait in a file."""

from typing import Final

import pyarrow as pa
from cellkeeper.contract.notices import Event
from cellkeeper.contract.series import EVENT, LOG, SWEEP
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.contract.wire import decode

from historian.errors import StoreBusyError, StoreFailedError, StoreFullError
from historian.stores.influx import lines
from historian.stores.influx.reading import log_rows, where_log
from historian.stores.influx.sending import Sender
from historian.stores.influx.server import Server
from historian.stores.influx.state import LocalState
from historian.stores.influx.state_lines import cell_state_lines, state_line, states
from historian.stores.plain_tables import lives_of
from historian.stores.port import EventQuestion, LivedSweep, Notice, StateQuestion, WriteBatch

SEND_AT_ONCE: Final = 500  # rows that waited, per request


class LogBook:
    """The log rows of one site.

    Args:
        site: whose.
        server: where they are.
        sender: takes them there.
        state: where they wait.
    """

    def __init__(self, site: str, server: Server, sender: Sender, state: LocalState) -> None:
        self._site, self._server, self._sender, self._state = site, server, sender, state

    def write(self, batch: WriteBatch) -> None:
        """Make the sweeps, events and states of a batch durable, on the server or in the file.

        Raises:
            StoreFullError, StoreFailedError: neither takes them; write them again.
        """
        rows = [lines.sweep_lines(sweep, self._site) for sweep in batch.sweeps]
        rows += [lines.event_line(event, self._site) for event in batch.events]
        rows += [state_line(row, self._site) for row in batch.states]
        rows += [cell_state_lines(row, self._site) for row in batch.cell_states]
        try:
            self._sender.send(LOG, lambda _: b"".join(rows))
        except (StoreBusyError, StoreFullError, StoreFailedError):
            if dropped := self._state.wait(rows):
                text = f"{dropped} events waited for InfluxDB too long and are lost"
                self._sender.note(Notice("store.log_dropped", "error", text))

    def send_waiting(self) -> int:
        """Take the oldest rows that wait to the server; return how many they were.

        Raises:
            StoreBusyError, StoreFullError, StoreFailedError: they wait on.
        """
        waiting = self._state.waiting(SEND_AT_ONCE)
        if waiting:
            self._sender.send(LOG, lambda _: b"".join(rows for _, rows in waiting))
            self._state.sent(waiting[-1][0])
        return len(waiting)

    def impedance(self, string: str, start_ms: int, end_ms: int) -> tuple[LivedSweep, ...]:
        """See `Store.impedance`."""
        where = where_log(self._site, start_ms, end_ms, string=string)
        found = log_rows(self._server, SWEEP.name, ("body", "lives"), where)
        return tuple(LivedSweep(decode(ImpedanceSweep, body.encode()), lives_of(lives)) for body, lives in found)

    def states(self, question: StateQuestion) -> pa.Table:
        """See `Store.states`."""
        return states(self._server, self._site, question)

    def events(self, question: EventQuestion) -> tuple[Event, ...]:
        """See `Store.events`."""
        where = where_log(self._site, question.start_ms, question.end_ms, kind=question.kind, service=question.service)
        found = log_rows(self._server, EVENT.name, ("body",), where, f"ORDER BY time DESC LIMIT {question.limit}")
        return tuple(decode(Event, body.encode()) for (body,) in found)
