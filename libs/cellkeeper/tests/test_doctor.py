"""What the doctor finds in a site's folder, and what a support bundle must never hold."""

import os
import re
import sqlite3
import stat
import tarfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cellkeeper.backup.book import BackupBook
from cellkeeper.backup.place import BackupPlace
from cellkeeper.cli.doctor_site import (
    adapter_findings,
    backup_findings,
    folder_findings,
    history_findings,
    seal_finding,
)
from cellkeeper.cli.main import main
from cellkeeper.cli.support_bundle import GONE, known_secrets, scrubbed
from cellkeeper.site_folder.layout import SiteFolder

NOW = datetime.now(UTC)  # certificates are made by the real init


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> SiteFolder:
    """Return a site's folder with a reader who has a password."""
    assert main(["init", str(tmp_path / "site")]) == 0
    capsys.readouterr()
    return SiteFolder(tmp_path / "site")


def wrong(findings) -> list[str]:
    return [each.text for each in findings if each.verdict == "wrong"]


def test_a_new_folder_has_nothing_wrong(folder: SiteFolder):
    assert wrong(folder_findings(folder, NOW)) == []


def test_a_certificate_near_its_end_is_named(folder: SiteFolder):
    found = wrong(folder_findings(folder, NOW + timedelta(days=80)))
    assert any("broker/broker.crt ends" in text and "certificates renew" in text for text in found)


def test_a_broken_seal_is_named(folder: SiteFolder):
    policy = folder.broker / "policy.json"
    policy.chmod(0o600)
    policy.write_bytes(policy.read_bytes() + b"\n")
    assert seal_finding(folder).verdict == "wrong"
    assert any("policy.json is not what sealed.sha256 seals" in text for text in wrong(folder_findings(folder, NOW)))
    policy.unlink()
    assert seal_finding(folder).verdict == "wrong"


def test_a_key_that_others_may_read_is_named(folder: SiteFolder):
    key = folder.secrets_of("historian") / "client.key"
    key.chmod(0o644)
    assert any(str(key) in text for text in wrong(folder_findings(folder, NOW)))


def test_history_that_lost_files_is_named(tmp_path: Path):
    history = tmp_path / "historian/history"
    (history / "journal").mkdir(parents=True)
    with closing(sqlite3.connect(history / "manifest.sqlite")) as db:
        db.execute("CREATE TABLE segment (file TEXT)")
    assert wrong(history_findings(tmp_path)) == []
    with closing(sqlite3.connect(history / "manifest.sqlite")) as db, db:
        db.executemany("INSERT INTO segment VALUES (?)", [("full/s1/a.parquet",), ("full/s1/b.parquet",)])
    assert any("2 files" in text and "a.parquet" in text for text in wrong(history_findings(tmp_path)))
    (history / "manifest.sqlite").write_bytes(b"no database at all, but long enough to be looked at as one")
    assert any("restore a backup" in text for text in wrong(history_findings(tmp_path)))
    assert list(history_findings(tmp_path / "nothing")) == []


def test_backups_that_are_absent_or_old_are_named(tmp_path: Path):
    place = BackupPlace(tmp_path)
    assert any("holds no backup" in text for text in wrong(backup_findings(tmp_path, NOW)))
    with place.drafting(NOW, None) as draft:
        place.finish(draft, BackupBook(made_by="1", site="hh1", made_at=NOW))
    assert wrong(backup_findings(tmp_path, NOW)) == []
    assert any("3 days old" in text for text in wrong(backup_findings(tmp_path, NOW + timedelta(days=3))))
    next(tmp_path.glob("*Z/backup.json")).write_bytes(b"{}")
    assert any("backup.json" in text for text in wrong(backup_findings(tmp_path, NOW)))


def test_an_adapter_with_a_slow_timer_is_named(tmp_path: Path):
    port = tmp_path / "ttyUSB7"
    port.touch()
    timer = tmp_path / "sys/ttyUSB7/device/latency_timer"
    timer.parent.mkdir(parents=True)
    timer.write_text("1\n", "ascii")
    assert wrong(adapter_findings("b1", port, tmp_path / "sys")) == []
    timer.write_text("16\n", "ascii")
    assert any("16 ms" in text for text in wrong(adapter_findings("b1", port, tmp_path / "sys")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_an_adapter_of_another_group_is_named(tmp_path: Path):
    port = tmp_path / "ttyUSB7"
    port.touch()
    port.chmod(0o060)
    assert any("add it to the group" in text for text in wrong(adapter_findings("b1", port, tmp_path)))


def secrets_of(folder: SiteFolder, reader_password: str) -> list[str]:
    """Return every secret of the folder, found another way than the bundle does: all that is no config."""
    found = [reader_password]
    for path in folder.path.rglob("*"):
        if path.is_file() and path.suffix in {".key", ".token", ".password"}:
            found += [line for line in path.read_text("utf-8").splitlines() if len(line) > 20 and "---" not in line]
    hashes = re.findall(r'"(?:salt|password|hash)": *"([^"]+)"', (folder.broker / "policy.json").read_text("utf-8"))
    assert hashes, "the reader has one"
    return found + hashes


def test_no_secret_gets_into_a_bundle_not_even_through_a_log(folder: SiteFolder, tmp_path: Path, capsys):
    assert main(["readers", "add", str(folder.path), "scada"]) == 0
    password = next(line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("password"))
    token = folder.secrets_of("provision") / "operator.token"
    token.write_text("u8-Zr0OpeRatorTokenOfInfluxDB2_with86characters_orSo_4711abcDEF==\n", "utf-8")
    secrets = secrets_of(folder, password)
    assert len(secrets) > 20, "the test looks at real keys"
    log = tmp_path / "service.log"
    log.write_text(
        "\n".join(f"something printed {secret} by mistake" for secret in secrets)
        + '\nsnmp community = "pub-lic7"\nCELLKEEPER_PASSWORD=hunter2\nhttp://joe:open-sesame@server/\n'
        + '{"password": "correct horse", "mail_secret":"s3"}\nAuthorization: Basic am9lOnNlc2FtZQ==\n'
        + (folder.authorities / "services-0.key").read_text("utf-8"),
        "utf-8",
    )
    bundle = tmp_path / "support.tar.gz"
    arguments = ["doctor", "--site", str(folder.path), "--bundle", str(bundle), "--log", str(log), "--port", "1"]
    assert main(arguments) in {0, 1}
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    with tarfile.open(bundle) as archive:
        texts = {m.name: archive.extractfile(m).read().decode() for m in archive.getmembers()}
    everything = "\n".join(texts.values())
    canaries = ["pub-lic7", "hunter2", "open-sesame", "correct horse", '"s3"', "am9lOnNlc2FtZQ", "PRIVATE KEY"]
    assert [each for each in (*secrets, *canaries) if each in everything] == []
    assert "something printed [removed] by mistake" in everything
    for name in (
        "findings",
        "site/site.toml",
        "site/access.toml",
        "site/files",
        "site/certificates",
        "machine/packages",
    ):
        assert texts[f"cellkeeper-support/{name}.txt"].strip(), name
    assert "secrets/historian/client.key" in texts["cellkeeper-support/site/files.txt"]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26T06:50:05Z historian broker.connected host=broker port=8883 stream=b7f2",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        '{"event":"store.failed","why":"influx answers 503","tokens_file":null,"attempt":3}'.replace(
            "tokens_file", "files"
        ),
    ],
)
def test_what_is_no_secret_stays(text: str):
    assert scrubbed(text, set()) == text


def test_what_a_site_knows_is_removed_whatever_it_looks_like(folder: SiteFolder):
    (folder.secrets_of("grafana") / "plain.password").write_text("just-some-words\n", "utf-8")
    known = known_secrets(folder)
    assert scrubbed("said just-some-words aloud", known) == f"said {GONE} aloud"
