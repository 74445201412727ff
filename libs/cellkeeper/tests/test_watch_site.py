"""Which site `cellkeeper watch` shows: by id, by description, by folder, or the one that lies here."""

from pathlib import Path

import pytest
from cellkeeper.cli.watch import site_id_of
from cellkeeper.contract.site_file import SiteFileError
from cellkeeper.testing.suite import site_text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/site.toml").write_text(site_text(tmp_path), "utf-8")
    return tmp_path


@pytest.mark.parametrize("told", ["site", "site/site.toml", "hh1"])
def test_a_site_is_named_by_id_description_or_folder(folder: Path, told: str):
    assert site_id_of(told, Path("nothing.toml")) == "hh1"


def test_without_a_name_it_is_the_one_that_lies_here_else_the_demo(folder: Path):
    assert site_id_of(None, folder / "site/site.toml") == "hh1"
    assert site_id_of(None, folder / "nothing.toml") == "demo"


@pytest.mark.parametrize("told", ["no/such.toml", "Upper Case", "#"])
def test_what_is_neither_is_told(folder: Path, told: str):
    with pytest.raises(SiteFileError, match=told):
        site_id_of(told, Path("nothing.toml"))
