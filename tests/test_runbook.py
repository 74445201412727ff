"""Whatever the code can say of itself, the runbook explains: events, log lines, metrics, presence states, qualities."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from analytics.gauges import Gauges as AnalyticsGauges
from analytics.older_memories import NEWER
from balancer.gauges import Gauges as BalancerGauges
from balancer.limits import Reason
from balancer.telling import FINDINGS
from bus_gateway.uplink.gauges import GatewayGauges
from cellkeeper.contract.estimate_state import Doubt
from cellkeeper.contract.estimating import EstimateProfile, FullSigns
from cellkeeper.contract.notices import Event, Presence
from cellkeeper.contract.physical import Quality
from cellkeeper.runtime.metrics import Metrics
from historian.gauges import Gauges

ROOT = Path(__file__).resolve().parents[1]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")
KIND = re.compile(r"[a-z_]+(\.[a-z_]+)+")
# texts of the same form that are no kinds: files, packages, entry points
OTHER = re.compile(
    r".*\.(log|conf|sqlite|sock|lock|toml|json|csv|py|journal|parquet|crt|key|sh|so|token|password|bolt|gz|encrypted)|(svg|axes|font|grid|legend|path|xtick|ytick)\.[\w.]+|sealed\.sha256"
    r"|(cellkeeper|analytics)(\.\w+)+"
)
PROFILE = {f"estimate.{name}" for name in EstimateProfile.model_fields}
PROFILE |= {f"estimate.full.{name}" for name in FullSigns.model_fields}  # paths within a chemistry profile
REMEMBERED = {name for each in NEWER for name in each.fields}  # paths within the memory of the analytics
SOURCES = (ROOT / "libs/cellkeeper/src", *(ROOT / "services").glob("*/src"))
EVENTS = ("Events of the gateway", "Events of the historian", "Events of the balancer", "Events of the analytics")
FORMATTED = {
    "estimate.{doubt}": {f"estimate.{doubt}" for doubt in get_args(Doubt.__value__)},
    "scan.{item.reason}": {"scan.future", "scan.too_old"},
    "balance.{Reason(finding).word}": {f"balance.{Reason(each).word}" for each in FINDINGS},
}


def strings_in(tree: ast.Module) -> Iterator[str]:
    """Every text constant of a module, f-strings with their fields' source in braces, docstrings left out."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"
                for part in node.values
                if isinstance(part, ast.Constant | ast.FormattedValue)
            )


def kinds_in_code() -> set[str]:
    found: set[str] = set()
    for folder in SOURCES:
        for path in folder.rglob("*.py"):
            for text in strings_in(ast.parse(path.read_text("utf-8"))):
                if KIND.fullmatch(text) and not OTHER.fullmatch(text) and text not in PROFILE | REMEMBERED:
                    found.add(text)
                elif re.fullmatch(r"[a-z_]+\.\{[^}]*\}", text):
                    found |= FORMATTED.get(text, {text})
    return found


def told(word: str) -> bool:
    return f"`{word}`" in RUNBOOK


def rows_of(section: str) -> list[list[str]]:
    body = RUNBOOK.split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in body.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_event_and_log_line_is_explained():
    kinds = kinds_in_code()
    assert {"port.lost", "journal.dropped", "scan.lost", "scan.future", "store.full", "broker.lost"} <= kinds
    assert sorted(kind for kind in kinds if not told(kind)) == []


def test_nothing_is_explained_that_nobody_says():
    kinds = kinds_in_code()
    told_kinds = {
        kind for section in EVENTS for row in rows_of(section) for kind in re.findall(r"`([a-z_.]+)`", row[0])
    }
    assert len(told_kinds) > 30
    assert sorted(told_kinds - kinds) == []


def test_every_event_has_a_severity_a_meaning_and_something_to_do():
    severities = get_args(Event.model_fields["severity"].annotation)
    for section in EVENTS:
        for kind, severity, meaning, first, second, third in rows_of(section):
            assert severity.split()[0] in severities, kind
            assert meaning, kind
            assert first, kind
            assert severity.startswith("info") or (second and (third or kind == "`retention.clock_doubted`")), kind


def test_every_metric_is_explained_and_registered_in_one_place():
    gateway, historian, balancer, analytics = pages = Metrics(), Metrics(), Metrics(), Metrics()
    GatewayGauges(gateway, gateway=None)
    Gauges(historian, None, None, inlet_refused=lambda: 0)
    BalancerGauges(balancer, None)
    AnalyticsGauges(analytics, None)
    names = {metric.name for page in pages for metric in page.registry.collect()}
    assert len(names) > 30
    assert sorted(name for name in names if not (told(name) or told(f"{name}_total"))) == []
    written = set(re.findall(r"`(cellkeeper_\w+)`", RUNBOOK))
    assert sorted(written - names) == []
    makers = {
        path.relative_to(ROOT).as_posix()
        for part in ("libs", "services")
        for path in (ROOT / part).glob("*/src/**/*.py")
        if re.search(r"metrics\.(gauge|counter)\(|Gauge\(f?\"|Counter\(f?\"", path.read_text("utf-8"))
    }
    assert makers == {
        "libs/cellkeeper/src/cellkeeper/runtime/metrics.py",
        "services/analytics/src/analytics/gauges.py",
        "services/balancer/src/balancer/gauges.py",
        "services/bus-gateway/src/bus_gateway/uplink/gauges.py",
        "services/historian/src/historian/gauges.py",
    }


def test_every_presence_state_and_quality_is_explained():
    states = get_args(Presence.model_fields["state"].annotation)
    assert [row[0] for row in rows_of("Presence")] == [f"`{state}`" for state in states]
    codes = RUNBOOK.split("## Quality codes", 1)[1]
    assert [int(code) for code in re.findall(r"^\| (\d) \|", codes, re.MULTILINE)] == sorted(Quality)


def test_every_reason_of_degraded_presence_is_quoted():
    said = set()
    for path in (ROOT / "services" / "bus-gateway" / "src").rglob("*.py"):
        said |= set(re.findall(r'\.be\("(?:degraded|gone)", f?"([^"{]+)', path.read_text("utf-8")))
    assert len(said) >= 4
    assert sorted(why for why in said if why.strip().split(";")[0] not in RUNBOOK) == []
