"""The balancer's figures for `/metrics`."""

from cellkeeper.runtime.metrics import Metrics

from balancer.balancer import Balancer


class Gauges:
    """Gauges that follow the balancer; `update` reads them.

    Args:
        metrics: where they are shown.
        balancer: whose work is counted.
    """

    def __init__(self, metrics: Metrics, balancer: Balancer) -> None:
        self._balancer = balancer
        names = {
            "balancer_scans": "live scans decided on since the start",
            "balancer_commands": "set-point commands sent since the start",
            "balancer_applied": "set-point commands whose effect was seen since the start",
            "balancer_refused": "set-point commands that a gateway refused since the start",
            "balancer_no_reply": "set-point commands that modules did not answer since the start",
            "balancer_refused_messages": "messages that were no valid payload since the start",
        }
        self._totals = {name: metrics.gauge(name, meaning) for name, meaning in names.items()}
        by_string = ["string"]
        self._bleeding = metrics.gauge("balancer_bleeding_units", "units that are bled now", by_string)
        self._findings = metrics.gauge("balancer_findings", "units that a person should look at", by_string)
        self._allowed = metrics.gauge("balancer_allowed", "1 while the string may be balanced", by_string)

    def update(self) -> None:
        """Read every figure."""
        counters = self._balancer.counters
        values = {
            "balancer_scans": counters.scans,
            "balancer_commands": counters.commands,
            "balancer_applied": counters.applied,
            "balancer_refused": counters.refused,
            "balancer_no_reply": counters.no_reply,
            "balancer_refused_messages": self._balancer.refusals.count,
        }
        for name, value in values.items():
            self._totals[name].set(value)
        for string, loop in self._balancer.loops.items():
            self._bleeding.labels(string).set(int((loop.duty > 0.0).sum()))
            self._findings.labels(string).set(sum(int((m.findings.reason > 0).sum()) for m in loop.memories))
            self._allowed.labels(string).set(bool(loop.decisions) and not any(d.inhibit for d in loop.decisions))
