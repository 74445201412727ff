"""What holds for every test: which real servers there are is said first; how long an example takes is not judged."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.testing.influxd import find_influxd
from cellkeeper.testing.real_brokers import real_brokers
from cellkeeper.testing.real_tools import told_tools
from hypothesis import settings

import dashboards  # noqa: F401  # before pytest takes the folder of that name for the package

settings.register_profile("cellkeeper", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("cellkeeper")

LONG: Final = (
    "services/balancer/tests/test_invariants.py", "tests/stack", "tests/system", "tests/safety",
    "services/historian/tests/test_backup_days.py", "dashboards", "tests/security",
)  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that none is left to one process at the end; else order is random."""
    ranks = {str(Path(__file__).parent / name): rank for rank, name in enumerate(LONG)}

    def rank(item: pytest.Item) -> int:
        return next((rank for folder, rank in ranks.items() if str(item.path).startswith(folder)), len(ranks))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def untouched_logs() -> Iterator[None]:
    """Begin and end with logging untouched: a command makes its process quiet, and here that is all tests' process."""
    _reset_logs()
    yield
    _reset_logs()


def _reset_logs() -> None:
    """Set defaults, not what the test found: a fixture of its module may have made the process quiet before."""
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    # What `basicConfig` added writes to a stream that ends with the test; handlers of pytest are of other types.
    logging.root.handlers[:] = [each for each in logging.root.handlers if type(each) is not logging.StreamHandler]


def pytest_report_header() -> str:
    """Return the line that names the real servers of this run."""
    try:
        brokers = ", ".join(f"Mosquitto {broker.version}" for broker in real_brokers(Path(__file__).parent))
    except StartRefusedError:
        brokers = "no Mosquitto"
    return f"real servers: {brokers}, {'InfluxDB' if find_influxd() else 'no InfluxDB'}; real tools: {told_tools()}"
