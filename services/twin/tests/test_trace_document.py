"""docs/replay.md is true: its site is one, its recordings are followed as it says, its table names every key."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cellkeeper.contract.site_file import parse_site
from twin.script.trace_options import KEYS, traced_units
from twin.twin_room import TwinOptions, TwinRoom

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "replay.md").read_text("utf-8")
START = datetime(2017, 3, 29, 12, 55, tzinfo=UTC)


def code(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def traces() -> list[str]:
    return re.findall(r"string=[^\s;\"\\]+", "".join(code("sh")))


@pytest.mark.parametrize("text", traces())
def test_each_recording_of_the_document_is_followed_by_its_room(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    (site,) = code("toml")
    room = TwinRoom(parse_site(site.encode()), TwinOptions(start=START))
    (traced,) = traced_units(text, START)
    room.physics.follow_trace(traced)
    assert traced.bad.count == 0
    assert room.physics.reading(traced.string).v[0] == traced.trace.at(0.0).v[0] > 3.0


def test_the_document_shows_both_files_and_every_key():
    assert {text.partition(",")[0] for text in traces()} == {"string=leaf", "string=gel"}
    assert len(traces()) == 4
    table = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(table))) >= set(KEYS)
