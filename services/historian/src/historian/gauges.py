"""The historian's figures for `/metrics`; they are read from the parts when somebody asks."""

import math
from collections.abc import Callable

from cellkeeper.runtime.metrics import Metrics

from historian.recorder import Recorder
from historian.stores.port import Store


class Gauges:
    """Gauges that follow the store and the recorder.

    Args:
        metrics: where they are shown.
        store: whose files are counted.
        recorder: whose work is counted.
        inlet_refused: how many messages could not be read.
    """

    def __init__(self, metrics: Metrics, store: Store, recorder: Recorder, *, inlet_refused: Callable[[], int]) -> None:
        self._store, self._recorder, self._inlet_refused = store, recorder, inlet_refused
        names = {
            "historian_scans": "scans made durable since the start",
            "historian_repeated_scans": "scans that were stored already since the start",
            "historian_rows": "cell rows made durable since the start",
            "historian_groups": "groups committed since the start",
            "historian_refused_by_store": "groups that the store refused since the start",
            "historian_refused_messages": "messages that were no valid payload since the start",
            "historian_refused_by_box": "scans refused because too many waited since the start",
            "historian_rows_refused": "rows that the database server will never take since the start",
            "historian_waiting_scans": "scans that wait to be written",
            "historian_open_gaps": "gaps that wait for backfill",
            "historian_store_bytes": "bytes of all history, NaN when it is not known",
            "historian_store_files": "Parquet files, NaN where history lies on a server",
            "historian_journal_bytes": "bytes in journals",
            "historian_journal_rows": "cell rows that only the journal holds",
        }
        self._gauges = {name: metrics.gauge(name, meaning) for name, meaning in names.items()}

    def refresh(self) -> None:
        """Read every figure."""
        counters, stats = self._recorder.counters, self._store.stats()
        values = {
            "historian_scans": counters.scans,
            "historian_repeated_scans": counters.repeated,
            "historian_rows": counters.rows,
            "historian_groups": counters.groups,
            "historian_refused_by_store": counters.refused_by_store,
            "historian_refused_messages": self._inlet_refused(),
            "historian_refused_by_box": self._recorder.box.refused,
            "historian_waiting_scans": len(self._recorder.box),
            "historian_open_gaps": self._recorder.intake.receipts.open_gaps(),
            "historian_store_bytes": math.nan if stats.bytes_on_disk is None else stats.bytes_on_disk,
            "historian_store_files": math.nan if stats.files is None else stats.files,
            "historian_rows_refused": stats.rows_refused,
            "historian_journal_bytes": stats.journal_bytes,
            "historian_journal_rows": stats.rows_waiting,
        }
        for name, value in values.items():
            self._gauges[name].set(value)
