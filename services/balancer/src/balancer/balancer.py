"""The service: live scans in, commands to the gateway out, and everything told. One decision per scan and string."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from cellkeeper.contract.balance_state import BalanceState, Inhibit
from cellkeeper.contract.channels import BALANCE, COMMAND, MODE, OUTCOME, SCAN
from cellkeeper.contract.commands import BleedCells
from cellkeeper.contract.moment import from_ms, to_ms
from cellkeeper.contract.outcomes import Applied, CommandOutcome, NoReply, Refused
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.contract.site import Site
from cellkeeper.contract.telemetry import StringMode
from cellkeeper.contract.wire import PayloadRefusedError, decode, encode
from cellkeeper.runtime.clock import Clock
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.runtime.service import ServiceVoice
from cellkeeper.runtime.session import Incoming

from balancer.dispatch import HOLD_S, Sent, SetPoints
from balancer.limits import Reason
from balancer.memory_file import MemoryFile
from balancer.proof import Milestone
from balancer.string_loop import StringLoop
from balancer.telling import finding_text, new_findings, state_of

EXPIRES_S: Final = 10.0  # a set-point that comes later answers a scan that is no longer fresh
STALE_S: Final = 10.0  # contract: event time between two scans is never above
SOON_S: Final = 10.0  # event time between two states while something bleeds
TELL_AT_MOST_S: Final = 1.0  # real seconds between two states of one string, however fast its clock
TEND_S: Final = 1.0
_FORBIDDING: Final = frozenset({"discharge", "test", "unknown"})


@dataclass(slots=True)
class Counters:
    """What was done and refused."""

    scans: int = 0
    commands: int = 0
    applied: int = 0
    refused: int = 0
    no_reply: int = 0


@dataclass(slots=True)
class _Told:
    at_s: float = float("-inf")
    real_s: float = float("-inf")
    key: tuple[object, ...] = ()
    stale: bool = False
    refusal: str = ""


@dataclass(kw_only=True)
class Balancer:
    """Everything of one site that is balanced.

    Attributes:
        site: its description.
        loops: by string.
        gateway_of: the service that is asked, by string.
        clock: event time.
        voice: presence, events and the session.
        memory: what survives a restart.
        save_s: real seconds between two writes of it.
        on_tend: called about once a second.
    """

    site: Site
    loops: Mapping[str, StringLoop]
    gateway_of: Mapping[str, str]
    clock: Clock
    voice: ServiceVoice
    memory: MemoryFile
    save_s: float
    on_tend: Callable[[], None] = lambda: None
    counters: Counters = field(default_factory=Counters)
    refusals: RefusalLog = field(default_factory=RefusalLog)
    _modes: dict[str, StringMode] = field(default_factory=dict)
    _asked: dict[UUID, str] = field(default_factory=dict)
    _told: dict[str, _Told] = field(default_factory=dict)
    _findings: dict[str, list[int]] = field(default_factory=dict)
    _is_saved: bool = True

    def subscribe(self) -> None:
        """Ask for live scans, modes and the outcomes of our commands; old scans are never read."""
        session, site = self.voice.session, self.site.site.id
        session.subscribe(SCAN.filter(site=site), self.on_scan, with_retained=False)
        session.subscribe(MODE.filter(site=site), self.on_mode)
        session.subscribe(OUTCOME.filter(site=site, issuer=self.voice.service), self.on_outcome, with_retained=False)

    def on_scan(self, message: Incoming) -> None:
        """Decide on a scan, send what follows from it and tell what is new."""
        ids = SCAN.match(message.topic)
        loop = None if ids is None else self.loops.get(ids["string"])
        if loop is None:
            return
        try:
            scan = decode_scan(message.payload)
        except PayloadRefusedError as exc:
            self.refusals.add(message.topic, str(exc))
            return
        if scan.string != loop.string or scan.cells != loop.units:
            self.refusals.add(message.topic, f"{scan.cells} cells of {scan.string[:32]}; site.toml says {loop.units}")
            return
        age_s = (self.clock.now_ms() - scan.measured_ms) / 1000.0
        if abs(age_s) > STALE_S:  # control never acts on old data
            return
        self.counters.scans += 1
        turn = loop.on_scan(scan, mode_forbids=self._mode_forbids(loop.string))
        if turn.set_points is not None:
            self._ask(loop, turn.set_points)
        milestones = [each for each in turn.milestones if each is not None]
        for each in milestones:
            self._tell_milestone(loop, each)
        if milestones:
            self.save()
        self._tell_findings(loop)
        self._tell(loop, is_milestone=bool(milestones))

    def on_mode(self, message: Incoming) -> None:
        """Take a published mode, which can only forbid; one that cannot be read withdraws it."""
        ids = MODE.match(message.topic)
        if ids is None:
            return
        try:
            self._modes[ids["string"]] = decode(StringMode, message.payload)
        except PayloadRefusedError as exc:
            self._modes.pop(ids["string"], None)
            if message.payload:
                self.refusals.add(message.topic, str(exc))

    def on_outcome(self, message: Incoming) -> None:
        """Take how a command of ours ended."""
        try:
            body = decode(CommandOutcome, message.payload)
        except PayloadRefusedError as exc:
            self.refusals.add(message.topic, str(exc))
            return
        string = self._asked.pop(body.id, None)
        if string is None:
            return
        loop, told = self.loops[string], self._told.setdefault(string, _Told())
        match body.outcome:
            case Applied():
                self.counters.applied += 1
                loop.sent, told.refusal = loop.sent.applied(), ""
            case Refused() as refused:
                self.counters.refused += 1
                self._refused(loop, told, f"{refused.reason}: {refused.detail}")
            case NoReply() as silent:
                self.counters.no_reply += 1
                cells = ", ".join(map(str, silent.cells[:8])) or "nobody"
                self._refused(loop, told, f"no reply within {silent.waited_s:g} s; silent: {cells}")

    async def run(self) -> None:
        """Watch over strings that fall silent and write down what was learned, until cancelled."""
        loop = asyncio.get_running_loop()
        saved_s = loop.time()
        try:
            while True:
                await asyncio.sleep(TEND_S)
                self._watch()
                self.on_tend()
                if loop.time() - saved_s >= self.save_s:
                    saved_s = loop.time()
                    self.save()
        finally:
            self.save()

    def save(self) -> None:
        """Write down what was learned and what people asked; told once when the disk does not take it."""
        is_saved = self.memory.write(dict(self.loops))
        if self._is_saved and not is_saved:
            text = f"{self.memory.path} cannot be written: pauses and what was learned are lost when this process ends"
            self.voice.event("balance.not_saved", "error", f"{text}; make room, it is tried again by itself")
        self._is_saved = is_saved

    def _watch(self) -> None:
        now_s, silent = self.clock.now_ms() / 1000.0, []
        for string, loop in self.loops.items():
            told = self._told.setdefault(string, _Told())
            is_stale = now_s - loop.at_s > STALE_S + self.site.site.scan_s
            if is_stale:
                silent.append(string)
            if is_stale and not told.stale and loop.decisions:
                self._publish(state_of(loop, is_milestone=False, inhibit="stale"))
            told.stale = is_stale
        if not silent:
            self.voice.be("ready")
        else:
            self.voice.be("degraded", f"no fresh scan of {', '.join(silent)[:200]}")

    def _mode_forbids(self, string: str) -> bool:
        mode = self._modes.get(string)
        if mode is None or mode.mode not in _FORBIDDING:
            return False
        age_s = (self.clock.now_ms() - to_ms(mode.measured_at)) / 1000.0
        return abs(age_s) <= self.site.site.stale_after_s

    def _ask(self, loop: StringLoop, set_points: SetPoints) -> None:
        command = BleedCells(
            id=uuid4(),
            expires_at=from_ms(self.clock.now_ms()) + timedelta(seconds=EXPIRES_S),
            string=loop.string,
            cells=set_points.cells,
            bleed_frac=set_points.bleed_frac,
            hold_s=HOLD_S,
        )
        service = self.gateway_of[loop.string]
        topic = COMMAND.topic(site=self.site.site.id, service=service, name="bleed", issuer=self.voice.service)
        self._asked = {id_: string for id_, string in self._asked.items() if string != loop.string}
        if self.voice.session.publish(topic, encode(command), qos=COMMAND.qos, correlation=command.id.bytes):
            self._asked[command.id] = loop.string
            self.counters.commands += 1
        else:  # the link went away in this moment: nothing of it was said
            loop.sent = Sent.unknown(loop.units)

    def _refused(self, loop: StringLoop, told: _Told, why: str) -> None:
        loop.sent = loop.sent.refused(self.clock.now_ms() / 1000.0)
        if told.refusal != why:  # once for each reason, not every half minute
            told.refusal = why
            self.voice.event("balance.refused", "warning", f"set-points of {loop.string}: {why}", string=loop.string)

    def _tell_milestone(self, loop: StringLoop, milestone: Milestone) -> None:
        proof = max(loop.proofs, key=lambda each: each.at_s)
        spread_mv = (proof.spread_v or 0.0) * 1000.0
        if milestone == "began":
            text = f"balancing of {loop.string} begins at a spread of {spread_mv:.0f} mV"
            self.voice.event("balance.began", "info", text, string=loop.string, spread_v=round(spread_mv / 1000.0, 4))
        elif milestone == "even":
            hours, moved_ah = proof.allowed_s / 3600.0, float(sum(m.findings.moved_ah.sum() for m in loop.memories))
            began_mv = (proof.began_v or 0.0) * 1000.0
            text = (
                f"{loop.string} is even: {began_mv:.0f} mV became {spread_mv:.0f} mV in {hours:.1f} h of charging "
                f"phase, {moved_ah:.2f} Ah moved"
            )
            self.voice.event("balance.even", "info", text, string=loop.string, moved_ah=round(moved_ah, 3))

    def _tell_findings(self, loop: StringLoop) -> None:
        before = self._findings.get(loop.string)
        now = [int(code) for memory in loop.memories for code in memory.findings.reason]
        if now == before:
            return
        self._findings[loop.string] = now
        if before is None:
            return
        leaks = [float(each) for memory in loop.memories for each in memory.findings.leak_a]
        for place, finding in new_findings(before, now):
            text = finding_text(loop.string, place + 1, finding, leaks[place])
            kind = f"balance.{Reason(finding).word}"
            self.voice.event(kind, "warning", text, string=loop.string, cell=place + 1)

    def _tell(self, loop: StringLoop, *, is_milestone: bool) -> None:
        told = self._told.setdefault(loop.string, _Told())
        refused: Inhibit | None = "refused" if told.refusal and loop.duty.any() else None
        inhibits = tuple(each.inhibit for each in loop.decisions)
        key = (inhibits, tuple(memory.phase.phase for memory in loop.memories), refused)
        wait_s = SOON_S if loop.duty.any() else self.site.site.refresh_s
        real_s = asyncio.get_running_loop().time()
        is_due = loop.at_s - told.at_s >= wait_s and real_s - told.real_s >= TELL_AT_MOST_S
        if is_milestone or key != told.key or is_due:
            told.at_s, told.real_s, told.key = loop.at_s, real_s, key
            self._publish(state_of(loop, is_milestone=is_milestone, inhibit=refused))

    def _publish(self, state: BalanceState) -> None:
        topic = BALANCE.topic(site=self.site.site.id, string=state.string)
        expires_s = self.site.site.stale_after_s
        self.voice.session.publish(topic, encode(state), qos=BALANCE.qos, retain=True, expires_s=expires_s)
