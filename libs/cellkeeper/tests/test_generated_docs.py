"""Generated documents are fresh, and every example in them is what the models and the schemas say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
import yaml
from cellkeeper.contract import documents
from cellkeeper.contract.channels import CHANNELS, COMMAND
from cellkeeper.contract.commands import COMMANDS
from cellkeeper.contract.payload import Telemetry
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.contract.wire import decode, encode

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs" / "examples"
MODELS = {c.name: c.payload for c in CHANNELS if c is not COMMAND} | {
    f"command-{name}": model for of_kind in COMMANDS.values() for name, model in of_kind.items()
}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text("utf-8"))
    return tree


def validator(described: dict[str, Any], message: str) -> jsonschema.Draft202012Validator:
    reference = described["components"]["messages"][message]["payload"]["$ref"]
    return jsonschema.Draft202012Validator({"$ref": reference, "components": described["components"]})


def test_nothing_is_stale():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate-docs", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_channel_and_command_has_an_example():
    assert {path.stem for path in EXAMPLES.glob("*.json")} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_an_example_is_what_model_and_schema_say(name: str, described: dict[str, Any]):
    raw = (EXAMPLES / f"{name}.json").read_bytes()
    payload = decode(MODELS[name], raw)
    assert orjson.loads(encode(payload)) == orjson.loads(raw)  # type: ignore[arg-type]
    validator(described, name).validate(orjson.loads(raw))
    assert described["components"]["messages"][name]["examples"][0]["payload"] == orjson.loads(raw)


@pytest.mark.parametrize("name", MODELS)
def test_a_schema_refuses_what_is_wrong(name: str, described: dict[str, Any]):
    body = orjson.loads((EXAMPLES / f"{name}.json").read_bytes())
    check = validator(described, name)
    assert not check.is_valid(body | {"v": 2})
    assert not check.is_valid({key: value for key, value in body.items() if key != "v"})
    assert check.is_valid(body | {"of_a_newer_version": 1}) == issubclass(MODELS[name], Telemetry)


def test_the_scan_example_is_read_on_the_hot_path_too():
    assert decode_scan((EXAMPLES / "scan.json").read_bytes()).cells == 3


def test_what_a_reader_relies_on_is_required(described: dict[str, Any]):
    scan = described["components"]["schemas"]["StringScan"]
    assert {"cell_v", "cell_degc", "bleed_frac", "quality", "degc_quality", "status", "scalar_quality"} <= set(
        scan["required"]
    )
    assert "current_a" not in scan["required"]


def test_the_description_holds_together(described: dict[str, Any]):
    assert described["asyncapi"] == "3.0.0"
    assert set(described["channels"]) == {channel.name for channel in CHANNELS}
    for channel in described["channels"].values():
        names = {part.strip("{}") for part in channel["address"].split("/") if part.startswith("{")}
        assert names == set(channel["parameters"])
    for reference in _references(described):
        node: Any = described
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    return [found for value in node for found in _references(value)] if isinstance(node, list) else []


def test_every_topic_and_series_is_listed():
    topics, listed = documents.topics_markdown(), documents.series_markdown()
    assert all(channel.template.removeprefix("cellkeeper/v1/{site}/") in topics for channel in CHANNELS)
    assert all(f"`{name}`" in topics for of_kind in COMMANDS.values() for name in of_kind)
    assert "`cell_v_e4`" in listed
    assert "`15m`" in listed
