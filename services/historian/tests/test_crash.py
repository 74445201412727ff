"""kill -9 in the middle of writing and upkeep: nothing acknowledged is lost, nothing is doubled."""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

from cellkeeper.testing.builders import START_MS, scan_of
from cellkeeper.testing.patience import PATIENCE_S
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import CellQuestion, LivedScan, StringQuestion, WriteBatch

ROUNDS = 10
FOREVER = (0, 4_000_000_000_000)

CHILD = """
import faulthandler, signal, sys, threading, time
from pathlib import Path
from cellkeeper.testing.builders import START_MS, scan_of
from historian.errors import StoreBusyError
from historian.stores.embedded.options import EmbeddedOptions
from historian.stores.embedded.store import EmbeddedStore
from historian.stores.port import LivedScan, WriteBatch

faulthandler.register(signal.SIGUSR1)
store = EmbeddedStore(Path(sys.argv[1]), "hh1", EmbeddedOptions(reserve_bytes=0, scans_per_journal=15))

def tend():
    while True:
        time.sleep(0.0 if store.upkeep().more else 0.002)

threading.Thread(target=tend, daemon=True).start()
seq = int(sys.argv[2])
while True:
    scans = [scan_of(6, seq, string=string, measured_ms=START_MS + 20_000 * seq) for string in ("s1", "s2")]
    try:
        store.write(WriteBatch(scans=[LivedScan(scan) for scan in scans]))
    except StoreBusyError:
        time.sleep(0.001)  # as the recorder does; without it upkeep hardly gets the interpreter
        continue
    sys.stdout.write(f"{seq}\\n")
    sys.stdout.flush()
    seq += 1
"""


def _until_killed(folder: Path, first: int, groups: int) -> int:
    """Let a child write until it has acknowledged `groups` groups, kill it, return the last one that it did."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(first)], stdout=subprocess.PIPE)
    said = b""
    assert child.stdout is not None
    while said.count(b"\n") < groups:
        ready, _, _ = select.select([child.stdout], [], [], PATIENCE_S)
        if not ready:
            child.send_signal(signal.SIGUSR1)  # it tells on its error output where it stands
            with suppress(subprocess.TimeoutExpired):
                child.wait(1.0)
            child.kill()
        assert ready, "the child stopped writing"
        chunk = os.read(child.stdout.fileno(), 4096)
        assert chunk, "the child ended by itself"
        said += chunk
    child.send_signal(signal.SIGKILL)
    said += child.stdout.read()
    child.wait()
    child.stdout.close()
    return int(said.rpartition(b"\n")[0].rpartition(b"\n")[2])


def test_kill_9_at_random_moments(tmp_path: Path):
    rng = Random(20261121)
    acknowledged = 0
    for _ in range(ROUNDS):
        acknowledged = _until_killed(tmp_path, acknowledged + 1, rng.randrange(5, 120))
        store = EmbeddedStore(tmp_path, "hh1", EmbeddedOptions(reserve_bytes=0, scans_per_journal=15))
        for string in ("s1", "s2"):
            _check(store, string, acknowledged)
        store.close()


def _check(store: EmbeddedStore, string: str, acknowledged: int) -> None:
    rows = store.string_series(StringQuestion(string, "string", *FOREVER))
    seqs = rows["seq"].to_pylist()
    assert seqs[:acknowledged] == list(range(1, acknowledged + 1))
    assert len(seqs) in (acknowledged, acknowledged + 1)  # durable, and killed before it could say so
    assert list(store.positions()[string]["b7f2"].stored) == [(1, len(seqs))]
    times = rows["measured_at"].cast("int64").to_pylist()
    assert times == [START_MS + 20_000 * seq for seq in seqs]
    cells = store.string_series(StringQuestion(string, "cell", *FOREVER))
    assert cells.num_rows == 6 * len(seqs)
    assert cells["cell_v"].to_pylist()[:6] == scan_of(6).cell_v.round(4).tolist()
    for tier in ("1m", "15m", "1d"):
        series = store.cell_series(CellQuestion(string, 3, "cell_v", *FOREVER, 100_000, tier))
        assert series["n_good"].to_numpy().sum() == len(seqs)
    if len(seqs) > acknowledged:
        store.write(WriteBatch(scans=[LivedScan(scan_of(6, acknowledged + 1, string=string))]))
        assert store.string_series(StringQuestion(string, "string", *FOREVER)).num_rows == len(seqs)
