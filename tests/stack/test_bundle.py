"""The offline bundle installs on a machine that reaches nothing, says what it holds, and refuses a damaged copy."""

import json
import subprocess
from pathlib import Path

import pytest

from .bundles import install

PARTS = {
    "cellkeeper", "cellkeeper-bus-gateway", "cellkeeper-historian", "cellkeeper-balancer", "cellkeeper-analytics",
    "cellkeeper-twin",
}  # fmt: skip
pytestmark = pytest.mark.timeout(900)


def test_it_installs_without_any_index_and_runs(bundle: Path, tmp_path: Path):
    place = tmp_path / "opt"
    done = install(bundle, place)
    assert done.returncode == 0, done.stderr
    program = place / "bin/cellkeeper"
    assert str(tmp_path / "opt.new") not in program.read_text("utf-8")
    run = subprocess.run(
        [program, "validate", place / "share/deploy/demo/site.toml"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    again = install(bundle, place)  # an update keeps the one before, to go back to
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "opt.old/bin/cellkeeper").exists()


def test_a_damaged_copy_is_refused_and_leaves_what_is_installed(bundle: Path, tmp_path: Path):
    wheel = next(bundle.glob("wheelhouse/cellkeeper-*.whl"))
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        done = install(bundle, tmp_path / "opt")
    finally:
        wheel.write_bytes(whole)
    assert done.returncode == 1
    assert wheel.name in done.stderr
    assert not (tmp_path / "opt").exists()


def test_its_bill_of_materials_names_every_wheel_with_its_hash(bundle: Path):
    bom = json.loads((bundle / "sbom.cdx.json").read_text("utf-8"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    told = {each["hashes"][0]["content"] for each in bom["components"]}
    sums = dict(reversed(line.split(maxsplit=1)) for line in (bundle / "SHA256SUMS").read_text("utf-8").splitlines())
    assert told == {digest for name, digest in sums.items() if name.endswith(".whl")}
    assert {each["name"] for each in bom["components"]} >= PARTS
    unknown = [each["name"] for each in bom["components"] if "licenses" not in each]
    assert unknown == [], "of these no licence is known"
    graph = {each["ref"].partition("@")[0]: each.get("dependsOn", []) for each in bom["dependencies"]}
    assert any(ref.startswith("pyarrow@") for ref in graph["cellkeeper-historian"])
    assert not any(ref.startswith("pyarrow@") for ref in graph["cellkeeper-bus-gateway"])
