"""Real tools of integrators, where this machine has them: `scripts/real-node-red`, `scripts/real-telegraf`."""

import re
import shutil
from pathlib import Path

from cellkeeper.testing.influxd import servers_cache


def find_node_red() -> Path | None:
    """Return Node-RED's program for `node`, or None where there is none."""
    program = servers_cache() / "node-red/node_modules/node-red/red.js"
    return program if program.exists() and shutil.which("node") else None


def find_telegraf() -> Path | None:
    """Return Telegraf's program, or None where there is none."""
    program = servers_cache() / "telegraf"
    return program if program.exists() else None


def told_tools() -> str:
    """Return in words which tools there are."""
    node_red = find_node_red()
    found = ""
    if node_red is not None:
        version = re.search(r'"version": "([^"]+)"', node_red.with_name("package.json").read_text("utf-8"))
        found = version[1] if version else "of an unknown version"
    tools = [f"Node-RED {found}" if node_red else "no Node-RED", "Telegraf" if find_telegraf() else "no Telegraf"]
    return ", ".join(tools)
