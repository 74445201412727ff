"""docker-compose.yml keeps to its rules; `make e2e` sees the same on running containers."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
STACK: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
OURS = ("provision", "historian", "bus-gateway", "balancer", "analytics", "twin", "backup", "restore")
PUBLISHED = {"broker": ["8884", "8885"], "grafana": ["3000"]}  # docs/deploy.md, "Ports"

BACKUP = "backup"  # runs for a moment, reads all keys, and has rules of its own below
RESTORE = "restore"  # runs for a moment before the others do
RUNNING = [name for name in SERVICES if name not in (BACKUP, RESTORE)]

each_service = pytest.mark.parametrize("name", RUNNING)


def mounts(name: str) -> list[dict[str, Any]]:
    return [each for each in SERVICES[name].get("volumes", []) if isinstance(each, dict)]


@each_service
def test_a_container_can_change_nothing_and_has_no_rights(name: str):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    forbidden = {"privileged", "cap_add", "pid", "ipc", "network_mode", "userns_mode", "uts", "extra_hosts"}
    assert not forbidden & service.keys()


@each_service
def test_a_container_is_not_root(name: str):
    number = re.fullmatch(r"(?:\$\{\w+:-)?(\d+)\}?:(?:\$\{\w+:-)?(\d+)\}?", SERVICES[name]["user"])
    assert number is not None
    assert int(number[1]) > 0


@each_service
def test_a_container_is_bounded(name: str):
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["pids_limit"] > 0
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["restart"] == ("on-failure:5" if name == "provision" else "unless-stopped")
    assert all("size=" in each for each in service.get("tmpfs", []))


@each_service
def test_a_container_is_asked_how_it_is(name: str):
    check = SERVICES[name]["healthcheck"]
    if name == "provision":
        assert check == {"disable": True}
    else:
        assert check["test"]
        assert check["retries"] >= 2


@each_service
def test_no_docker_socket_and_the_host_only_where_it_must(name: str):
    for mount in mounts(name):
        assert "docker.sock" not in mount["source"]
        inside = mount["source"].startswith(("${CELLKEEPER_SITE:-./site}/", "./deploy/", "./dashboards/"))
        assert inside or (name, mount["source"]) == ("bus-gateway", "/dev")
        assert mount.get("read_only") is True or name == "provision"


def test_the_backup_may_read_everything_and_nothing_else():
    service = SERVICES[BACKUP]
    assert (service["read_only"], service["cap_drop"], service["cap_add"]) == (True, ["ALL"], ["DAC_READ_SEARCH"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["network_mode"] == "service:historian", "no network of its own, and the historian's has no way out"
    assert not {"networks", "ports", "devices", "group_add", "privileged"} & service.keys()
    assert (service["profiles"], service["restart"]) == (["backup"], "no")
    writable = [each for each in service["volumes"] if not (isinstance(each, str) and each.endswith(":ro"))]
    writable = [each["target"] for each in writable if not each.get("read_only")]
    assert writable == ["/backup"]
    (place,) = (each for each in mounts(BACKUP) if each["target"] == "/backup")
    assert place["bind"] == {"create_host_path": True}, "compose 2.26 refuses the first backup else"
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])


def test_the_restore_has_no_more_rights_than_the_services_it_writes_for():
    service, historian = SERVICES[RESTORE], SERVICES["historian"]
    for key in ("read_only", "cap_drop", "security_opt", "user", "image", "networks", "mem_limit", "pids_limit"):
        assert service[key] == historian[key], key
    assert not {"cap_add", "privileged", "network_mode", "ports", "devices", "group_add"} & service.keys()
    assert (service["profiles"], service["restart"]) == (["restore"], "no")
    assert all(mount["read_only"] is True for mount in mounts(RESTORE)), "it writes to volumes alone"
    assert service["depends_on"]["provision"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize(("name", "mode"), [(BACKUP, ":ro"), (RESTORE, "")])
def test_what_services_learned_is_where_backup_and_restore_look(name: str, mode: str):
    service = SERVICES[name]
    apart = service["environment"]["CELLKEEPER_APART_DIR"]
    learning = {n for n in RUNNING if f"{n}:/state" in SERVICES[n].get("volumes", [])} - {"historian", "bus-gateway"}
    assert learning == {"balancer", "analytics"}, "a gateway's journal must never come back: it would repeat numbers"
    volumes = {each for each in service["volumes"] if isinstance(each, str)}
    assert volumes == {f"historian:/state{mode}"} | {f"{n}:{apart}/{n}{mode}" for n in learning}
    image = (ROOT / "deploy/images/Dockerfile").read_text("utf-8")
    assert all(f"{apart}/{n}" in image for n in learning), "a new volume would belong to root"


def test_devices_are_the_gateways_alone():
    for name, service in SERVICES.items():
        has = {"devices", "device_cgroup_rules", "group_add"} & service.keys()
        assert bool(has) == (name == "bus-gateway")
        assert "devices" not in has  # a container with an adapter that is absent could not be created


@each_service
def test_each_sees_its_own_secrets_and_never_a_single_file(name: str):
    secret = [mount["source"].partition("/secrets/")[2] for mount in mounts(name) if "/secrets/" in mount["source"]]
    allowed = {"provision": ["provision", "historian", "grafana"], "historian": ["historian"], "grafana": ["grafana"]}
    assert secret == allowed.get(name, [name] if name in ("bus-gateway", "balancer", "analytics") else [])
    assert "secrets" not in SERVICES[name]


def test_networks_are_apart():
    members = {net: {n for n in RUNNING if net in SERVICES[n]["networks"]} for net in STACK["networks"]}
    assert members["device"] == {"bus-gateway", "twin"}
    assert members["north"] == set(PUBLISHED)
    assert members["internal"] == set(RUNNING) - {"twin"}
    assert STACK["networks"]["internal"] == {"internal": True}


def test_only_what_readers_need_is_published_and_on_loopback_unless_told():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert {name: [port.rpartition(":")[2] for port in ports] for name, ports in published.items()} == PUBLISHED
    assert all(port.startswith("${CELLKEEPER_NORTH:-127.0.0.1}:") for ports in published.values() for port in ports)


def test_an_influxdb_that_refuses_every_row_is_noticed_and_ended():
    influxdb = SERVICES["influxdb"]
    assert influxdb["entrypoint"] == ["/bin/bash", "/watched/watched"]
    assert influxdb["command"] == ["run", "/var/lib/influxdb2", "influxd"]
    assert influxdb["healthcheck"]["test"] == ["CMD", "/bin/bash", "/watched/watched", "healthy"]
    assert [(each["source"], each["target"]) for each in mounts("influxdb")] == [("./deploy/influxdb", "/watched")]
    assert (ROOT / "deploy/influxdb/watched").exists()


def test_no_password_or_token_stands_in_the_file():
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|SECRET", key):
                assert key.endswith(("_FILE", "_DIR"))
                assert value.startswith(("/secrets", "/run/secrets/"))


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_come_from_where_one_says(name: str):
    image = SERVICES[name]["image"]
    assert "build" not in SERVICES[name]
    assert not image.rstrip("}").endswith((":latest", "/"))
    if name in OURS:
        assert re.fullmatch(r"cellkeeper/[a-z-]+:\$\{CELLKEEPER_VERSION:-[0-9.]+\}", image)
        assert SERVICES[name]["pull_policy"] == "never"
    else:
        assert re.fullmatch(r"\$\{CELLKEEPER_[A-Z]+_IMAGE:-[a-z0-9/-]+:\d+\.\d+\.\d+\}", image)


def test_the_version_is_the_librarys():
    project = (ROOT / "libs/cellkeeper/pyproject.toml").read_text("utf-8")
    version = re.search(r'^version = "(.*)"', project, re.MULTILINE)
    assert version is not None
    assert set(re.findall(r"CELLKEEPER_VERSION:-([^}]+)", TEXT)) == {version[1]}


def test_nothing_starts_before_what_it_needs():
    needs = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    assert needs["provision"] == {"influxdb": {"condition": "service_healthy"}}
    for name in ("historian", "grafana"):
        assert needs[name]["provision"] == {"condition": "service_completed_successfully"}
    for name in ("historian", "bus-gateway", "balancer", "analytics"):
        assert needs[name]["broker"] == {"condition": "service_healthy"}
    assert SERVICES["twin"]["profiles"] == ["demo"]
