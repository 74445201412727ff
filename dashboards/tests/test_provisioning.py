"""Provisioning files, read as Grafana reads them: YAML, then `$__file{…}` and environment variables in every value."""

import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cellkeeper.contract.series import DATABASE
from dashboards.drawing import DATA_SOURCE
from dashboards.publish import FOLDER_UID

ROOT = Path(__file__).resolve().parents[2]
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
SECRET = "/run/secrets/grafana/reader.token"


def read_as_grafana(name: str, secret: Path | None = None) -> Any:
    def expanded(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: expanded(value) for key, value in node.items()}
        if isinstance(node, list):
            return [expanded(value) for value in node]
        if not isinstance(node, str):
            return node
        if secret is not None:
            node = re.sub(r"\$__file\{([^}]+)\}", lambda m: Path(str(secret)).read_text().strip(), node)
        return os.path.expandvars(node)

    return expanded(yaml.safe_load((PROVISIONING / name).read_text("utf-8")))


def test_the_boards_of_the_repository_are_what_the_provider_reads():
    (provider,) = read_as_grafana("dashboards/cellkeeper.yaml")["providers"]
    assert provider["type"] == "file"
    assert provider["folderUid"] == FOLDER_UID
    assert provider["allowUiUpdates"] is False
    assert Path(provider["options"]["path"]).is_absolute()


def test_the_source_is_the_one_that_boards_name(monkeypatch):
    monkeypatch.setenv("CELLKEEPER_INFLUX_URL", "http://influxdb:8086")
    document = read_as_grafana("datasources/cellkeeper.yaml")
    (source,) = document["datasources"]
    assert document["apiVersion"] == 1
    assert (source["uid"], source["type"], source["access"]) == (DATA_SOURCE, "influxdb", "proxy")
    assert source["url"] == "http://influxdb:8086"
    assert source["jsonData"]["dbName"] == DATABASE
    assert source["jsonData"]["version"] == "InfluxQL"
    assert SECRET in source["secureJsonData"]["httpHeaderValue1"]


def test_no_secret_and_no_password_stands_in_a_file():
    for path in PROVISIONING.rglob("*.yaml"):
        text = path.read_text("utf-8")
        assert "password" not in text.lower()
        assert not re.search(r"Token [A-Za-z0-9_=-]{20,}", text)


def test_a_source_that_is_built_from_the_file_may_ask(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLKEEPER_INFLUX_URL", filled.url)
    (tmp_path / "reader.token").write_text(filled.token + "\n")
    (source,) = read_as_grafana("datasources/cellkeeper.yaml", tmp_path / "reader.token")["datasources"]
    headers = {source["jsonData"]["httpHeaderName1"]: source["secureJsonData"]["httpHeaderValue1"]}
    asked = {"db": source["jsonData"]["dbName"], "q": 'SHOW TAG VALUES FROM "string" WITH KEY = "string"'}
    answer = httpx.request(source["jsonData"]["httpMethod"], f"{source['url']}/query", params=asked, headers=headers)
    assert answer.json()["results"][0]["series"][0]["values"] == [["string", "s1"], ["string", "s2"]]


@pytest.mark.parametrize("name", ["datasources/cellkeeper.yaml", "dashboards/cellkeeper.yaml"])
def test_every_variable_of_a_file_is_said_in_its_head(name):
    text = (PROVISIONING / name).read_text("utf-8")
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    assert head
    assert all(variable in head for variable in re.findall(r"\$\{([A-Z_]+)\}", text))
