"""The whole suite from a folder of `cellkeeper init`: twin, gateway and historian over mutual TLS, and people."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from cellkeeper.runtime.broker import free_port
from cellkeeper.site_folder.furnish import load_access
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.testing.patience import PATIENCE_S, wait_until
from cellkeeper.testing.suite import site_text
from guarded_site import ROOT, PlainClient, RefusedError, context_of, served_certificate

CELLKEEPER = str(Path(sys.executable).with_name("cellkeeper"))


@dataclass
class RunningSite:
    folder: SiteFolder
    http_port: int
    log: Path

    def tell(self, *words: str, code: int = 0) -> str:
        """Run the command line as a person does after `. secrets/cli/env`."""
        told = (self.folder.secrets_of("cli") / "env").read_text("utf-8").splitlines()
        settings = dict(line.replace("'", "").split("=", 1) for line in told)
        done = subprocess.run(
            [CELLKEEPER, *words],
            env=plain_environment() | settings | {"COLUMNS": "120"},
            cwd=self.folder.path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == code, f"{done.stdout}{done.stderr}\n{self.log.read_text('utf-8')[-3000:]}"
        return done.stdout + done.stderr

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, what, told=lambda: self.log.read_text("utf-8")[-4000:])

    def stored_rows(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/v1/latest", timeout=5.0) as answer:
                return len(orjson.loads(answer.read())["scans"])
        except (OSError, KeyError):
            return 0


def plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CELLKEEPER_")}


def quietly(command: list[str], room: Path) -> None:
    subprocess.run(command, cwd=room, env=plain_environment(), check=True, timeout=PATIENCE_S, capture_output=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    room = tmp_path_factory.mktemp("room")
    (room / "bus").mkdir()
    (room / "given.toml").write_text(site_text(room / "bus"), "utf-8")
    own = str(os.geteuid())
    made = [CELLKEEPER, "init", "site", "--site", "given.toml", "--uid", own, "--broker-uid", own]
    quietly(made, room)
    folder = SiteFolder(room / "site")
    text = folder.access_file.read_text("utf-8")
    for port in ("8883", "8884", "8885"):
        text = text.replace(f"port = {port}", f"port = {free_port()}")
    folder.access_file.write_text(text, "utf-8")
    subprocess.run(made[:3], cwd=room, env=plain_environment(), check=True, timeout=PATIENCE_S, capture_output=True)
    running = RunningSite(folder, free_port(), room / "up.log")
    command = [CELLKEEPER, "up", "--broker", "--site", "site", "--with", "twin", "--http-port", str(running.http_port)]
    with running.log.open("ab") as output:
        process = subprocess.Popen(command, cwd=room, env=plain_environment(), stdout=output, stderr=output)
    try:
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)


def test_readings_reach_the_store_and_people_over_tls(site: RunningSite):
    site.wait(lambda: site.stored_rows() == 1, "a stored string")
    assert "8/8" in site.tell("watch", "--once")
    assert "0 found" in site.tell("modules", "search", "b1-1")
    everybody = "at work: hh1/analytics, hh1/balancer, hh1/bus-gateway, hh1/historian"
    site.wait(lambda: everybody in site.tell("doctor"), everybody)
    access = load_access(site.folder).broker
    person = PlainClient().connect(access.readers_certificate_port, context_of(site.folder.secrets_of("cli")))
    assert person.subscribe_all([ROOT + "string/s1/stored", ROOT + "string/s1/cell/8"]) == [True, True]
    seen = {person._next(person.messages).topic.removeprefix(ROOT) for _ in range(2)}
    assert "string/s1/stored" in seen
    person.close()
    anybody = context_of(site.folder.secrets_of("cli"), with_certificate=False)
    for port in (access.services_port, access.readers_port, access.readers_certificate_port):
        with pytest.raises(RefusedError):
            PlainClient().connect(port, anybody)


def test_a_renewed_certificate_of_the_broker_is_taken_while_all_run(site: RunningSite):
    site.wait(lambda: site.stored_rows() == 1, "a stored string")
    port = load_access(site.folder).broker.services_port
    before = served_certificate(site.folder, port)
    (site.folder.broker / "broker.crt").unlink()
    site.tell("certificates", "renew", str(site.folder.path))
    renewed = (site.folder.broker / "broker.crt").read_bytes()
    site.wait(lambda: served_certificate(site.folder, port) == renewed, "the broker shows its new certificate")
    assert renewed != before
    assert "broker.lost" not in site.log.read_text("utf-8")
    site.tell("watch", "--once")
