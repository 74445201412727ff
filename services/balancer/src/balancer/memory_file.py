"""What was learned of each string, on disk: a restart goes on without a jump, and days of watching are not lost.

One JSON file of format 1. A file that cannot be read, or of strings that `site.toml` describes otherwise now, is left
out: the string begins anew, which costs time and never safety.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from cellkeeper.contract.balance_state import BalancePhase
from cellkeeper.runtime.whole_file import whole_file

from balancer.decision import PackMemory
from balancer.errors import StateUnreadableError
from balancer.findings import Findings
from balancer.frozen_units import LastSaid
from balancer.orders import Forced, Orders
from balancer.phase import PhaseMemory
from balancer.proof import Proof
from balancer.string_loop import StringLoop

FORMAT: Final = 1
_PHASES: Final[frozenset[BalancePhase]] = frozenset(
    {"unknown", "idle", "charge", "final", "float", "discharge", "test"}
)


@dataclass(slots=True)
class MemoryFile:
    """The file of one balancer."""

    path: Path

    def write(self, loops: dict[str, StringLoop]) -> bool:
        """Replace the file; False when the disk does not take it (it is written again with the next round)."""
        body = {"format": FORMAT, "strings": {string: _packed(loop) for string, loop in loops.items()}}
        try:
            with whole_file(self.path) as file:
                file.write(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))
        except OSError:
            return False
        return True

    def read_into(self, loops: dict[str, StringLoop]) -> list[str]:
        """Give each loop what was learned of its string; return the strings that begin anew though there is a file.

        Raises:
            StateUnreadableError: the file is there and cannot be used at all.
        """
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise StateUnreadableError(f"{self.path}: {exc.strerror}") from exc
        try:
            body = orjson.loads(raw)
            told, strings = body["format"], dict(body["strings"].items())
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
            raise StateUnreadableError(f"{self.path}: {type(exc).__name__}") from exc
        if told != FORMAT:
            raise StateUnreadableError(f"{self.path}: format {told!r}, this version reads {FORMAT}")
        return [string for string, loop in loops.items() if not _unpack(strings.get(string), loop)]


def _packed(loop: StringLoop) -> dict[str, Any]:
    return {
        "at_s": _finite(loop.at_s),
        "orders": {
            "paused_until_s": _finite(loop.orders.paused_until_s),
            "pause_reason": loop.orders.pause_reason,
            "forced": {str(place): [each.bleed_frac, each.until_s] for place, each in loop.orders.forced.items()},
            "spared": {str(place): until_s for place, until_s in loop.orders.spared.items()},
        },
        "packs": [
            {
                "units": rules.units,
                "phase": {name: _finite(value) for name, value in _plain(memory.phase).items()},
                "duty": memory.duty,
                "integral": memory.integral,
                "is_active": memory.is_active,
                "is_new": memory.is_new,
                "findings": _plain(memory.findings),
                "proof": {name: _finite(value) for name, value in _plain(proof).items()},
            }
            for rules, memory, proof in zip(loop.packs, loop.memories, loop.proofs, strict=True)
        ],
    }


def _unpack(body: Any, loop: StringLoop) -> bool:  # noqa: ANN401  # whatever the file holds
    """Put what was remembered into a loop; False when it does not fit and nothing was changed."""
    try:
        packs = body["packs"]
        if [pack["units"] for pack in packs] != [rules.units for rules in loop.packs]:
            return False
        memories = [_memory(pack) for pack in packs]
        told = [_proof(pack["proof"]) for pack in packs]
        wishes = body["orders"]
        orders = Orders(
            paused_until_s=_never(wishes["paused_until_s"]),
            pause_reason=str(wishes["pause_reason"]),
            forced={int(place): Forced(float(duty), float(end)) for place, (duty, end) in wishes["forced"].items()},
            spared={int(place): float(until_s) for place, until_s in wishes["spared"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    loop.memories, loop.proofs, loop.orders = memories, told, orders
    return True


def _memory(pack: dict[str, Any]) -> PackMemory:
    units, empty = int(pack["units"]), PackMemory.empty(int(pack["units"]))
    phase = pack["phase"]
    if phase["phase"] not in _PHASES:
        raise ValueError(phase["phase"])
    return replace(
        empty,
        phase=PhaseMemory(
            phase=phase["phase"],
            since_s=_never(phase["since_s"]),
            at_s=_never(phase["at_s"]),
            ready_s=None if phase["ready_s"] is None else float(phase["ready_s"]),
            disturbed_s=_never(phase["disturbed_s"]),
        ),
        said=LastSaid.nothing(units),
        duty=_array(pack["duty"], units),
        integral=_array(pack["integral"], units),
        is_active=_array(pack["is_active"], units).astype(np.bool_),
        is_new=bool(pack["is_new"]),
        findings=_findings(pack["findings"], units),
    )


def _findings(body: dict[str, Any], units: int) -> Findings:
    values: dict[str, Any] = {}
    for field in fields(Findings):
        value = body[field.name]
        values[field.name] = _array(value, units) if isinstance(value, list) else float(value)
    values["reason"] = values["reason"].astype(np.int8)
    return Findings(**values)


def _proof(body: dict[str, Any]) -> Proof:
    return Proof(
        began_s=body["began_s"],
        began_v=body["began_v"],
        allowed_s=float(body["allowed_s"]),
        samples=tuple((float(s), float(v)) for s, v in body["samples"]),
        spread_v=body["spread_v"],
        held_out_v=body["held_out_v"],
        at_s=_never(body["at_s"]),
    )


def _plain(item: PhaseMemory | Findings | Proof) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in fields(item)}


def _array(values: Any, units: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:  # noqa: ANN401
    array = np.array(values, dtype=np.float64)
    if array.shape != (units,) or np.isnan(array).any():
        raise ValueError(f"{array.shape} values for {units} units")
    return array


def _finite(value: Any) -> Any:  # noqa: ANN401  # JSON knows no infinity: "never" is null there
    return None if isinstance(value, float) and np.isinf(value) else value


def _never(value: float | None) -> float:
    return float("-inf") if value is None else float(value)
