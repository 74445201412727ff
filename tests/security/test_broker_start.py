"""A damaged policy never opens the broker: it does not start, and if it were started all the same it serves nobody."""

import hashlib
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.site_folder.furnish import SEALED, load_access
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.testing.real_brokers import Mosquitto, SecuredBroker
from guarded_site import ROOT, Outsiders, PlainClient, RefusedError, context_of, secured


@pytest.fixture
def copy(guarded_site: SiteFolder, tmp_path: Path) -> SiteFolder:
    shutil.copytree(guarded_site.path, tmp_path / "copy")
    return SiteFolder(tmp_path / "copy")


def write(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def cut(site: SiteFolder) -> None:
    policy = site.broker / "policy.json"
    write(policy, policy.read_bytes()[:500])


def emptied(site: SiteFolder) -> None:
    write(site.broker / "policy.json", b"")


def missing(site: SiteFolder) -> None:
    (site.broker / "policy.json").unlink()


def one_right_more(site: SiteFolder) -> None:
    policy = site.broker / "policy.json"
    write(policy, policy.read_bytes().replace(b'"publishClientSend": false', b'"publishClientSend": true'))


def opened_by_configuration(site: SiteFolder) -> None:
    configuration = site.broker / "mosquitto.conf"
    write(configuration, configuration.read_bytes() + b"\nallow_anonymous true\n")


def without_seal(site: SiteFolder) -> None:
    (site.broker / "sealed.sha256").unlink()


def seal_of_less(site: SiteFolder) -> None:
    seal = site.broker / "sealed.sha256"
    write(seal, b"\n".join(line for line in seal.read_bytes().splitlines() if b"policy" not in line) + b"\n")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut, "policy.json is not what sealed.sha256 seals"),
        (emptied, "policy.json is not what"),
        (missing, "policy.json is not what"),
        (one_right_more, "policy.json is not what"),
        (opened_by_configuration, "mosquitto.conf is not what"),
        (without_seal, "does not seal policy.json"),
        (seal_of_less, "does not seal policy.json"),
    ],
)
def test_it_does_not_start_with_what_init_did_not_render(
    copy: SiteFolder, tmp_path: Path, damage: Callable[[SiteFolder], None], told: str, mosquitto: Mosquitto
):
    damage(copy)
    refused = pytest.raises(StartRefusedError, match=f"not started: .*{told}.*cellkeeper init")
    with refused, secured(copy, mosquitto, tmp_path / "run"):
        pytest.fail("it started")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", load_access(copy).broker.services_port), timeout=5.0)


@pytest.mark.parametrize("damage", [cut, emptied, missing])
def test_started_in_spite_of_the_seal_it_serves_nobody(
    copy: SiteFolder, tmp_path: Path, damage: Callable[[SiteFolder], None], mosquitto: Mosquitto, outsiders: Outsiders
):
    damage(copy)
    content = {name: (copy.broker / name).read_bytes() if (copy.broker / name).exists() else b"" for name in SEALED}
    if damage is missing:  # a broker that may write would make a policy with users of its own
        copy.broker.joinpath("policy.json").mkdir()
        start = copy.broker / "start"
        write(start, start.read_bytes().replace(b"sha256sum -c sealed.sha256", b"true"))
    seal = "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in content.items())
    write(copy.broker / "sealed.sha256", seal.encode())
    access = load_access(copy).broker
    broker = SecuredBroker(copy, mosquitto, access.services_port, tmp_path / "run")
    try:
        broker.start()
    except StartRefusedError:
        return  # that version refuses by itself
    try:
        gateway = PlainClient().connect(access.services_port, context_of(copy.secrets_of("bus-gateway")))
        assert gateway.publish_all([(ROOT + "string/s1/scan", b"{}"), ("anything", b"")]) == [False, False]
        assert gateway.subscribe_all([ROOT + "#", "#", ROOT + "string/+/stored"]) == [False, False, False]
        gateway.close()
        anybody = context_of(copy.secrets_of("cli"), with_certificate=False)
        for user, password in ((None, None), ("scada", outsiders.passwords["scada"]), ("admin", "admin")):
            with pytest.raises(RefusedError):
                PlainClient().connect(access.readers_port, anybody, user=user, password=password)
    finally:
        broker.stop()


def health(site: SiteFolder) -> tuple[int, str]:
    done = subprocess.run(
        ["/bin/sh", str(site.broker / "healthy")], capture_output=True, text=True, timeout=60.0, check=False
    )
    return done.returncode, done.stderr


def test_health_is_that_the_right_ones_get_in_and_the_others_do_not(
    copy: SiteFolder, tmp_path: Path, mosquitto: Mosquitto
):
    assert health(copy)[0] == 1
    with secured(copy, mosquitto, tmp_path / "run"):
        assert health(copy) == (0, "")
    cut(copy)
    reseal(copy)
    with secured(copy, mosquitto, tmp_path / "serves-nobody"):
        code, told = health(copy)
        assert (code, "the probe may not read" in told) == (1, True)


def test_health_notices_a_broker_that_is_not_ours(copy: SiteFolder, tmp_path: Path, mosquitto: Mosquitto):
    one_right_more(copy)
    policy = copy.broker / "policy.json"
    write(policy, policy.read_bytes().replace(b'"subscribe": false', b'"subscribe": true'))
    reseal(copy)
    with secured(copy, mosquitto, tmp_path / "run"):
        code, told = health(copy)
    assert (code, "not our policy" in told) == (1, True)


def reseal(site: SiteFolder) -> None:
    sums = {name: hashlib.sha256((site.broker / name).read_bytes()).hexdigest() for name in SEALED}
    write(site.broker / "sealed.sha256", "".join(f"{sums[name]}  {name}\n" for name in SEALED).encode())


def test_it_says_what_is_missing(copy: SiteFolder, tmp_path: Path, mosquitto: Mosquitto):
    without_plugin = Mosquitto(mosquitto.version, mosquitto.program, str(tmp_path / "nowhere.so"))
    with pytest.raises(StartRefusedError, match=r"nowhere\.so|plugin"), secured(copy, without_plugin, tmp_path / "run"):
        pytest.fail("it started without its policy")
    no_mosquitto = Mosquitto("", "/bin/true")
    with pytest.raises(StartRefusedError, match="version unknown"), secured(copy, no_mosquitto, tmp_path / "run2"):
        pytest.fail("it started")
