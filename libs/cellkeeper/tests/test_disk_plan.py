"""The disk plan: what is measured per row, times rows and days."""

from pathlib import Path

import pytest
from cellkeeper.cli.disk_plan import needed_gb, plan_disk, room_gb, shortage, words
from cellkeeper.cli.main import main
from cellkeeper.contract.site_file import load_site
from cellkeeper.testing.suite import site_text


@pytest.fixture
def site(tmp_path: Path):
    (tmp_path / "site.toml").write_text(site_text(tmp_path, 16, 256), "utf-8")
    return load_site(tmp_path / "site.toml")


def test_a_room_of_4096_units_needs_what_was_measured(site):
    full, minutes, quarters, days = plan_disk(site, "influx", {})
    assert full.day_gb == pytest.approx(4096 * 86_400 * 1.45e-9)
    assert full.whole_gb == pytest.approx(92 * full.day_gb)
    assert minutes.day_gb == pytest.approx(4096 * 1440 * 42e-9)
    assert quarters.day_gb == pytest.approx(minutes.day_gb / 15)
    assert days.whole_gb == pytest.approx(3660 * days.day_gb)
    assert needed_gb(plan_disk(site, "embedded", {})) < needed_gb((full, minutes, quarters, days))


def test_a_disk_that_is_too_small_gets_advice_that_fits(site):
    plan = plan_disk(site, "embedded", {"1m": 30, "15m": 366, "1d": 366})
    assert shortage(plan, needed_gb(plan)) is None
    warning = shortage(plan, 20.0)
    assert warning is not None
    assert "larger disk" in warning
    days = int(warning.partition("full tier for ")[2].split()[0])
    assert 0 < days < 92
    assert shortage(plan_disk(site, "embedded", {"1m": 30, "15m": 366, "1d": 366, "full": days}), 20.0) is None
    assert "keep the full tier" not in str(shortage(plan, 0.001))


def test_room_is_what_is_free_and_what_history_has_already(tmp_path: Path):
    before = room_gb(tmp_path / "not" / "there")
    assert before > 0
    assert room_gb(tmp_path) > 0


def test_validate_shows_the_plan(tmp_path: Path, site, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("CELLKEEPER_KEEP_FULL_DAYS", "36500")
    assert main(["validate", str(tmp_path / "site.toml"), "--store", "influx", "--disk", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "36500 days" in told.out
    assert "for ever, ten years" in told.out
    assert told.err.startswith("warning: the disk has ")
    assert next(words(plan_disk(site, "influx", {}), "influx")).startswith("disk for history (influx)")
