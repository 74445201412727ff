"""The estimators with their memory: what the service asks batch by batch. No input or output here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cellkeeper.contract.telemetry import ImpedanceSweep

from analytics.announced import AnnouncedTests, Ended
from analytics.belongings import brought
from analytics.cells import Cells
from analytics.estimates import Estimates
from analytics.estimating import Asked, Memory, Standing, follow
from analytics.impedance.follow import Refused
from analytics.impedance.sweep import Sweep
from analytics.intake import no_readings
from analytics.mode import Told
from analytics.readings import Floats, Layout, Readings
from analytics.site_rules import SiteRules
from analytics.soh.belief import learn
from analytics.soh.finding import CapacityFinding

MAX_SWEEPS = 64  # that wait for the next batch: one of each string and more


@dataclass(slots=True)
class Engine:
    """Everything that is estimated of one site.

    Attributes:
        rules: of the site.
        memory: of the newest batch.
        refused: sweeps that entered no trend since they were asked for last.
        ended: announced tests that are over, the same.
    """

    rules: SiteRules
    memory: Memory
    refused: list[Refused] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    _standing: Standing = field(init=False)
    _sweeps: list[Sweep] = field(default_factory=list)
    _opened: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._standing = Standing.of(self.memory, self.rules)

    @property
    def layout(self) -> Layout:
        """Where units lie."""
        return self.rules.layout

    @property
    def is_recording(self) -> bool:
        """Whether a discharge of any string is being recorded."""
        return any(each.running is not None for each in self.memory.recorder.strings)

    def follow(self, readings: Readings, ripple_a_rms: Floats | None = None, idle_s: float = 0.0) -> Estimates:
        """Return what all estimators say after a batch of scans."""
        opened = frozenset(string for string, is_open in self._opened.items() if is_open)
        sweeps, self._sweeps = tuple(self._sweeps), []
        asked = Asked(Told(opened=opened), idle_s, sweeps, ripple_a_rms)
        turn = follow(self.memory, self._standing, readings, asked, self.rules)
        self.memory, self._standing = turn.memory, turn.standing
        self.refused = [*self.refused, *turn.refused][-MAX_SWEEPS:]
        self.ended += turn.ended
        return turn.estimates

    def follow_silence(self, idle_s: float) -> Estimates:
        """Return the same after so much event time without any scan: strings that fell silent are unknown."""
        return self.follow(no_readings(self.layout), idle_s=idle_s)

    def take_refused(self) -> list[Refused]:
        """Return the sweeps that entered no trend since this was asked last."""
        taken, self.refused = self.refused, []
        return taken

    def take_ended(self) -> list[Ended]:
        """Return the announced tests that are over since this was asked last."""
        taken, self.ended = self.ended, []
        return taken

    @property
    def announced(self) -> AnnouncedTests:
        """The tests that are announced now."""
        return self.memory.announced

    def take_tests(self, announced: AnnouncedTests) -> None:
        """Take which tests are announced from now on."""
        self.memory = replace(self.memory, announced=announced)

    def take_cells(self, cells: Cells) -> tuple[str, ...]:
        """Take which cell is where from now on; what was learned follows. Return the strings in which any moved."""
        self.rules = self.rules.with_cells(cells)
        found = brought(self.memory, cells, self.layout)
        self.memory = found.memory
        self._standing = Standing.of(self.memory, self.rules)
        return found.strings

    def take_recording(self, place: int, memory: Memory) -> bool:
        """Take what another memory recorded of a string, if it has seen the same newest scan; whether it has."""
        own = self.memory
        if memory.recorder.strings[place].at_s != own.recorder.strings[place].at_s:
            return False

        self.memory = own.with_recording(place, memory)
        return True

    def learn(self, findings: Sequence[CapacityFinding]) -> None:
        """Take what discharges have proven that came to light later; a newer finding of the same unit stands."""
        learned = self.memory.soh.learned
        for finding in findings:
            learned = learn(learned, finding, self.layout.span(self.layout.strings.index(finding.string)))
        if findings:
            self.memory = replace(self.memory, soh=replace(self.memory.soh, learned=learned))
            self._standing = Standing.of(self.memory, self.rules)

    def take_sweep(self, sweep: ImpedanceSweep) -> None:
        """Take impedances; they enter the trends with the next batch. When too many wait, the oldest go."""
        self._sweeps = [*self._sweeps, Sweep.of(sweep)][-MAX_SWEEPS:]

    def take_breakers(self, opened: Mapping[str, bool]) -> None:
        """Take which battery breakers are reported open."""
        self._opened.update(opened)
