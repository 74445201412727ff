"""What tests of backups share: a site, the commands on it, and the comparison of two stores."""

from pathlib import Path

import pytest
from cellkeeper.cli.main import main
from cellkeeper.testing.suite import site_text
from historian.migration.moving import ALWAYS, Difference, Move
from historian.stores.port import EventQuestion, History, StateQuestion, Store
from historian.stores.state_rows import rows_of

from .test_migration import STATES, SWEEP


def make_site(room: Path) -> Path:
    """Return a site's folder below a room, made by init."""
    (room / "site.toml").write_text(site_text(room, 2, 4), "utf-8")
    assert main(["init", str(room / "site"), "--site", str(room / "site.toml")]) == 0
    return room / "site"


def back_up(site: Path, *more: str) -> int:
    return main(["backup", str(site), "--to", str(site.parent / "backups"), *more])


def restore(site: Path, monkeypatch: pytest.MonkeyPatch, *more: str, state: Path | None = None) -> int:
    told = {"STATE_DIR": state or site.parent / "new", "SITE_FILE": site / "site.toml", "RESERVE_MB": 0}
    for name, value in told.items():
        monkeypatch.setenv(f"CELLKEEPER_{name}", str(value))
    return main(["restore", str(site.parent / "backups"), *more])


def difference(one: History, other: Store) -> list[Difference]:
    return [step for step in Move(one, other, "hh1").compare() if isinstance(step, Difference)]


def require_same(one: Store, other: Store) -> None:
    assert one.strings() == other.strings()
    assert difference(one, other) == []
    assert difference(other, one) == []
    assert one.events(EventQuestion(*ALWAYS, 100)) == other.events(EventQuestion(*ALWAYS, 100))
    for string in one.strings():
        assert one.impedance(string, *ALWAYS) == other.impedance(string, *ALWAYS)
        for name in STATES:
            question = StateQuestion(name, string, *ALWAYS)
            assert one.states(question).equals(other.states(question)), name
    assert one.impedance("s1", *ALWAYS) == (SWEEP,)
    for name, rows in STATES.items():
        assert rows_of(one.states(StateQuestion(name, "s1", *ALWAYS)), name, "s1") == rows
