"""`cellkeeper modules` asks in the event time of the services: else a faster clock has every command expired."""

from pathlib import Path

import pytest
from bus_gateway.hands_on.commands import modules
from cellkeeper.runtime.wishing import NotThereError
from cellkeeper.testing.suite import site_text
from typer.testing import CliRunner


@pytest.mark.parametrize(
    "words",
    [
        ["search", "b1-1"],
        ["address", "b1-1", "00c0ffee", "7"],
        ["clear", "b1-1", "7"],
        ["identify", "b1-1", "7"],
        ["list"],
    ],
)
def test_they_follow_the_clock_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]):
    site = tmp_path / "site.toml"
    site.write_text(site_text(tmp_path), "utf-8")
    monkeypatch.setenv("CELLKEEPER_CLOCK", "half past nine")
    with pytest.raises(NotThereError, match="CELLKEEPER_CLOCK"):
        CliRunner().invoke(modules, [*words, "--site", str(site)], catch_exceptions=False)
