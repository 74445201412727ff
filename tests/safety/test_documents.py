"""The documents say what Cellkeeper is not, and name only tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAFETY = (ROOT / "docs" / "safety.md").read_text("utf-8")
FOLDERS = {
    "S": "tests/safety",
    "G": "services/bus-gateway/tests",
    "T": "services/twin/tests",
    "L": "libs/cellkeeper/tests",
    "Y": "tests/system",
    "B": "services/balancer/tests",
    "A": "services/analytics/tests",
}


def named_tests() -> list[tuple[str, str]]:
    """Every test that the document names, as file and function; `::test` alone means the file named before it."""
    found = []
    path = ""
    for file, test in re.findall(r"`([\w./-]+\.py)?::(test_\w+)`", SAFETY):
        folder, _, rest = file.partition("/")
        path = f"{FOLDERS[folder]}/{rest}" if folder in FOLDERS else file or path
        found.append((path, test))
    return found


def test_every_rule_names_tests_that_exist():
    named = named_tests()
    assert len(named) > 40
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not re.search(rf"^ *(async )?def {test}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_every_row_of_a_rule_has_a_test():
    rows = [line for line in SAFETY.splitlines() if line.startswith("| ") and not line.startswith("| hazard")]
    assert len(rows) > 20
    assert [row[:60] for row in rows if "::test_" not in row] == []


def test_every_safety_test_stands_in_the_document():
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        for test in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE):
            assert f"::{test}`" in SAFETY, f"{path.name}::{test} guards a rule that docs/safety.md does not have"


@pytest.mark.parametrize("document", ["README.md", "docs/safety.md"])
def test_the_documents_say_that_this_is_no_protection_device(document: str):
    assert "Cellkeeper is no protection device" in (ROOT / document).read_text("utf-8")


def test_places_named_in_the_document_exist():
    below = ROOT / "services/bus-gateway/src/bus_gateway"
    balancer = ROOT / "services/balancer/src/balancer"
    roots = (
        below,
        balancer,
        ROOT,
        ROOT / "libs/cellkeeper/src",
        ROOT / "services/historian/src",
        ROOT / "services/analytics/src",
    )
    places = set(re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md|toml))`", SAFETY))
    assert len(places) > 15
    assert [
        each for each in sorted(places) if each != "site.toml" and not any((r / each).exists() for r in roots)
    ] == []
