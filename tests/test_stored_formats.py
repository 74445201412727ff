"""What lies on disks has a number, docs/deploy.md says which, and the numbers are those of the code."""

import re
from pathlib import Path

from analytics import memory_file as estimates_file
from balancer import memory_file
from bus_gateway.journal import format as gateway_journal
from bus_gateway.uplink import retained
from cellkeeper.backup import book
from historian.stores.embedded import file_format, journal, manifest, tier_file
from historian.stores.influx import state

DEPLOY = (Path(__file__).resolve().parents[1] / "docs/deploy.md").read_text("utf-8")
IN_CODE = {
    "manifest.sqlite": manifest.VERSION,
    "*.ckj": journal.VERSION,
    "full/*.parquet": file_format.FIRST,
    "1m/, 15m/, 1d/*.parquet": tier_file.FORMAT,
    "influx-state.sqlite": state.VERSION,
    "*.journal": gateway_journal.VERSION,
    "shown-topics.json": retained.FILE_VERSION,
    "learned.json": memory_file.FORMAT,
    "learned.ckm": estimates_file.FORMAT,
    "events/*.json, *.npz": 1,
    "backup.json": book.FORMAT,
}


def test_the_table_of_formats_is_true():
    table = DEPLOY.split("## Stored formats\n", 1)[1].split("\n## ", 1)[0]
    told = {name: int(number) for name, number in re.findall(r"^\| `([^`]+)` \|[^|]*\| (\d+) \|", table, re.MULTILINE)}
    assert told == IN_CODE
    assert file_format.NEWEST == tier_file.FORMAT
