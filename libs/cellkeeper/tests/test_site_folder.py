"""`cellkeeper init` and what belongs to it: made once, nothing by default, renewed in time, told once."""

import os
import re
import stat
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from cellkeeper.cli.frame import run
from cellkeeper.cli.init import starter_site
from cellkeeper.policy.access import Access, BrokerAccess, ServicesAccess
from cellkeeper.policy.dynamic_security import ROUNDS, hashed
from cellkeeper.runtime.certificates import facts, is_issued_by
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.site_folder.furnish import Wish, furnish, load_access
from cellkeeper.site_folder.identities import all_certificates
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.site_folder.readers import load_readers

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
KINDS = {"bus-gateway": "bus-gateway", "historian": "historian"}


def wish(**changes: object) -> Wish:
    own = os.geteuid()
    access = Access(broker=BrokerAccess(hosts=["localhost", "192.0.2.7"], uid=own), services=ServicesAccess(uid=own))
    values = {"site_text": starter_site(), "access": access, "kinds_of": lambda _: KINDS, "now": NOW, "owner": own}
    return Wish(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    place = SiteFolder(tmp_path / "site")
    furnish(place, wish())
    return place


def contents(site: SiteFolder) -> dict[str, tuple[bytes, int, int]]:
    return {
        str(path.relative_to(site.path)): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in site.path.rglob("*")
        if path.is_file()
    }


def test_a_second_run_changes_nothing(site: SiteFolder):
    before = contents(site)
    assert furnish(site, wish(now=NOW + timedelta(days=80))) == []
    assert contents(site) == before


def test_two_sites_share_no_secret(tmp_path: Path, site: SiteFolder):
    other = SiteFolder(tmp_path / "other")
    furnish(other, wish())
    mine, theirs = ({path: body for path, (body, _, _) in contents(each).items()} for each in (site, other))
    alike = {path for path in mine if mine[path] == theirs.get(path)}
    assert alike == {
        "site.toml",
        "access.toml",
        "readers.json",
        "broker/policy.json",
        "broker/mosquitto.conf",
        "broker/sealed.sha256",
        "broker/start",
        "broker/healthy",
    }


def test_no_password_exists_that_nobody_asked_for(site: SiteFolder):
    policy = orjson.loads((site.broker / "policy.json").read_bytes())
    assert {client["username"] for client in policy["clients"]} == {*KINDS, "cli", "probe"}
    assert not any("password" in client for client in policy["clients"])
    assert "allow_anonymous false" in (site.broker / "mosquitto.conf").read_text()
    assert policy["defaultACLAccess"] == {
        "publishClientSend": False,
        "publishClientReceive": False,
        "subscribe": False,
        "unsubscribe": True,
    }


def test_secrets_are_for_their_owner_alone(site: SiteFolder):
    keys = [*site.path.rglob("*.key"), site.broker / "policy.json"]
    assert len(keys) == 8
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o400}
    folders = [site.authorities, site.broker, site.probe, *(site.path / "secrets").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert stat.S_IMODE(site.readers_file.stat().st_mode) == 0o600


def test_root_gives_each_folder_to_the_user_that_needs_it_and_others_are_told(tmp_path: Path):
    place = SiteFolder(tmp_path / "site")
    access = Access(broker=BrokerAccess(hosts=["localhost"], uid=1883), services=ServicesAccess(uid=10_001))
    if os.geteuid() != 0:
        with pytest.raises(StartRefusedError, match="as root for other users"):
            furnish(place, wish(access=access))
        return
    furnish(place, wish(access=access))
    owners = {str(path.relative_to(place.path)): path.stat().st_uid for path in place.path.rglob("*")}
    assert {uid for path, uid in owners.items() if path.startswith("broker")} == {1883}
    assert {uid for path, uid in owners.items() if path.startswith("secrets/historian")} == {10_001}
    assert {uid for path, uid in owners.items() if path.startswith(("ca", "secrets/cli"))} == {0}


def test_certificates_last_90_days_and_are_renewed_after_60(site: SiteFolder):
    leaves = [found for path, found in all_certificates(site) if path.parent != site.authorities]
    assert {found.not_after - NOW for found in leaves} == {timedelta(days=90)}
    assert {NOW - found.not_before for found in leaves} == {timedelta(hours=24)}
    assert furnish(site, wish(renew=True, now=NOW + timedelta(days=59))) == []
    changed = furnish(site, wish(renew=True, now=NOW + timedelta(days=61)))
    assert {line.split("/", 1)[1] for line in changed} == {
        *(f"{name}/client.{end}" for name in (*KINDS, "cli", "probe") for end in ("crt", "key")),
        "broker.crt",
        "broker.key",
    }
    assert all(line.startswith("changed ") for line in changed)


def test_a_certificate_names_its_hosts_and_follows_access_toml(site: SiteFolder):
    path = site.broker / "broker.crt"
    assert facts(path.read_bytes(), "").hosts == ("localhost", "192.0.2.7")
    site.access_file.write_text(site.access_file.read_text().replace('"192.0.2.7"', '"battery.example"'))
    assert "changed  broker/broker.crt" in furnish(site, wish())
    assert facts(path.read_bytes(), "").hosts == ("localhost", "battery.example")


def test_an_authority_has_a_successor_in_time_and_stays_trusted(site: SiteFolder):
    first = (site.authorities / "services-0.crt").read_bytes()
    leaf, trusted = site.secrets_of("historian") / "client.crt", site.secrets_of("historian") / "ca.crt"
    eight_years, nine_and_a_half = NOW + timedelta(days=2925), NOW + timedelta(days=3450)
    furnish(site, wish(renew=True, now=eight_years))
    second = (site.authorities / "services-1.crt").read_bytes()
    assert trusted.read_bytes() == first + second
    assert is_issued_by(leaf.read_bytes(), first, "leaf")
    furnish(site, wish(renew=True, now=nine_and_a_half))
    assert trusted.read_bytes() == first + second
    assert is_issued_by(leaf.read_bytes(), second, "leaf")
    after = NOW + timedelta(days=3651)
    furnish(site, wish(renew=True, now=after))
    assert trusted.read_bytes() == second
    assert facts(leaf.read_bytes(), "leaf").left(after) > timedelta(days=29)


def test_an_authority_that_is_thrown_away_takes_its_certificates_with_it(site: SiteFolder):
    for path in site.authorities.glob("services-*"):
        path.unlink()
    changed = furnish(site, wish())
    assert {"new      ca/services-0.crt", "changed  broker/broker.crt", "changed  secrets/historian/client.crt"} <= {
        *changed
    }
    assert not any("secrets/cli/client" in line or "readers" in line for line in changed)
    trusted = (site.broker / "services-ca.crt").read_bytes()
    assert is_issued_by((site.secrets_of("historian") / "client.crt").read_bytes(), trusted, "")
    assert furnish(site, wish()) == []


def test_a_new_gateway_gets_its_papers_and_a_removed_one_loses_them(site: SiteFolder):
    two = KINDS | {"bus-gateway-2": "bus-gateway"}
    added = furnish(site, wish(kinds_of=lambda _: two))
    assert "new      secrets/bus-gateway-2/client.key" in added
    assert "changed  broker/policy.json" in added
    assert not any("secrets/historian" in line for line in added)
    removed = furnish(site, wish())
    assert "removed  secrets/bus-gateway-2" in removed
    assert b"bus-gateway-2" not in (site.broker / "policy.json").read_bytes()


def test_damaged_inputs_are_refused_with_advice(site: SiteFolder):
    good = site.access_file.read_text()
    site.access_file.write_text(good.replace("services_port = 8883", "services_port = 8884"))
    with pytest.raises(StartRefusedError, match=r"access\.toml.*must differ"):
        furnish(site, wish())
    site.access_file.write_text(good + "\n[surprise]\n")
    with pytest.raises(StartRefusedError, match=r"access\.toml: surprise"):
        load_access(site)
    site.access_file.write_text(good)
    site.readers_file.write_text("{")
    with pytest.raises(StartRefusedError, match=r"readers\.json cannot be used.*backup"):
        furnish(site, wish())


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> SiteFolder:
    own = str(os.geteuid())
    assert run(["init", str(tmp_path / "made"), "--uid", own, "--broker-uid", own, "--host", "localhost"]) == 0
    capsys.readouterr()
    return SiteFolder(tmp_path / "made")


def test_a_reader_is_shown_its_password_once(made: SiteFolder, capsys: pytest.CaptureFixture[str]):
    assert run(["readers", "add", str(made.path), "scada", "--may-command", "bus-gateway/identify"]) == 0
    told = capsys.readouterr().out
    password = re.search(r"password\s+(\S+)", told)
    assert password is not None
    assert len(password[1]) >= 43
    assert not any(password[1].encode() in body for body, _, _ in contents(made).values())
    (reader,) = load_readers(made).readers
    assert reader.password == hashed(password[1], b64decode(reader.salt or ""))
    assert run(["readers", "list", str(made.path)]) == 0
    assert password[1] not in capsys.readouterr().out
    assert run(["readers", "add", str(made.path), "scada"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert run(["readers", "renew", str(made.path), "scada"]) == 0
    assert load_readers(made).readers[0].hash != reader.hash
    assert run(["readers", "remove", str(made.path), "scada"]) == 0
    assert load_readers(made).readers == ()
    assert b"scada" not in (made.broker / "policy.json").read_bytes()


def test_a_reader_with_a_certificate_gets_a_folder_to_take_away(made: SiteFolder):
    assert run(["readers", "add", str(made.path), "hmi", "--certificate"]) == 0
    papers = made.handover_of("hmi")
    assert {path.name for path in papers.iterdir()} == {"ca.crt", "client.crt", "client.key"}
    assert facts((papers / "client.crt").read_bytes(), "").name == "hmi"
    assert is_issued_by((papers / "client.crt").read_bytes(), (made.broker / "readers-ca.crt").read_bytes(), "")
    assert run(["readers", "remove", str(made.path), "hmi"]) == 0
    assert not papers.exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["readers", "add", "FOLDER", "bus-gateway"], 1, "name of a part of the suite"),
        (["readers", "add", "FOLDER", "Bad Name"], 2, "is no name"),
        (["readers", "add", "FOLDER", "x", "--may-command", "bus-gateway/reboot"], 1, "is no command"),
        (["readers", "add", "FOLDER/ca", "x"], 1, "cellkeeper init"),
        (["readers", "remove", "FOLDER", "x"], 1, "there is no reader 'x'"),
        (["certificates", "renew", "FOLDER/nowhere"], 1, "is no site folder"),
        (["init", "FOLDER/other", "--host", "not a name"], 2, "hosts"),
        (["init", "FOLDER/other", "--site", "FOLDER/none.toml"], 1, "name an existing site.toml"),
        (["up", "--site", "FOLDER/ca"], 1, "is no site folder"),
    ],
)
def test_what_cannot_be_done_is_told(
    made: SiteFolder, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
):
    before = contents(made)
    assert run([word.replace("FOLDER", str(made.path)) for word in words]) == code
    assert told in capsys.readouterr().err.replace("\n", " ")
    assert contents(made) == before


def test_show_fails_when_something_should_have_been_renewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = SiteFolder(tmp_path / "old")
    long_ago = replace(wish(), now=datetime.now(UTC).replace(microsecond=0) - timedelta(days=75))
    furnish(place, long_ago)
    assert run(["certificates", "show", str(place.path)]) == 1
    assert "secrets/historian/client.crt ends on" in capsys.readouterr().err
    assert run(["validate", str(place.site_file)]) == 0
    assert "secrets/historian/client.crt ends on" in capsys.readouterr().err
    assert run(["certificates", "renew", str(place.path)]) == 0
    assert "SIGHUP" in capsys.readouterr().out
    assert run(["certificates", "show", str(place.path)]) == 0


def test_a_hash_is_what_the_plugin_computes():
    known = hashed("correct horse", bytes(range(12)))  # computed with OpenSSL's `kdf PBKDF2`, SHA2-512
    assert (known.salt, known.rounds) == ("AAECAwQFBgcICQoL", ROUNDS)
    assert known.hash == "hc9UTFKiTSi9CHPMacLhbZUJ9kJTrF7ND3F3GC2tMIePa6GeHoJUhLaT6N8wIl0Zgp48kWcgb9fqfYUYiR/1vQ=="
