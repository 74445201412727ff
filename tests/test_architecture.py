"""ARCHITECTURE.md is true: every file it names exists, and the gateway's rooms import what it says and nothing else."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
GATEWAY = ROOT / "services/bus-gateway/src/bus_gateway"
# files that every room may import: the Protocol, errors, and what composes the process
SHARED = {"driver", "errors", "notices", "place", "gateway", "main", "settings", "timekeeping", "kernel_time"}


def rooms() -> dict[str, set[str]]:
    """The table of rooms: what each says it imports."""
    body = TEXT.split("## Rooms of the gateway", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in body.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            found[cells[0].strip("`/")] = set(re.findall(r"`(\w+)/`", cells[2])) or ({"all"} & {cells[2]})
    return found


def test_every_file_that_is_named_exists():
    below = (
        GATEWAY,
        *(room for room in GATEWAY.iterdir() if room.is_dir()),
        ROOT,
        ROOT / "libs/cellkeeper/src",
        ROOT / "libs/cellkeeper/src/cellkeeper",
        ROOT / "libs/cellkeeper/src/cellkeeper/contract",
        ROOT / "libs/cellkeeper/src/cellkeeper/runtime",
        ROOT / "services/historian/src",
        ROOT / "services/historian/src/historian",
        ROOT / "services/twin/src/twin",
        ROOT / "services/balancer/src",
        ROOT / "services/balancer/src/balancer",
        ROOT / "services/balancer/src/balancer/strategies",
        ROOT / "services/analytics/src",
        ROOT / "services/analytics/src/analytics",
    )
    named = set(re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md|toml|yaml|svg))`", TEXT))
    named |= set(re.findall(r"\]\((docs/[\w/.-]+)\)", TEXT))
    assert len(named) > 50
    assert [
        each for each in sorted(named) if each != "site.toml" and not any((at / each).exists() for at in below)
    ] == []


def test_the_rooms_are_the_folders_and_import_what_is_written():
    told = rooms()
    assert told.keys() == {room.name for room in GATEWAY.iterdir() if (room / "__init__.py").exists()}
    wrong = []
    for room, allowed in told.items():
        for path in (GATEWAY / room).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bus_gateway."):
                    target = (node.module or "").split(".")[1]
                    if target not in allowed | {room} | SHARED and "all" not in allowed:
                        wrong.append(f"{path.relative_to(GATEWAY)} imports {node.module}")
    assert wrong == []


def test_every_decision_is_listed():
    for path in (ROOT / "docs/adr").glob("*.md"):
        assert f"docs/adr/{path.name}" in TEXT, path.name
