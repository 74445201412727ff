"""Where messages of the broker come in: each is parsed, checked to be of its topic, and handed to the recorder."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.channels import BACKFILL, BALANCE, ESTIMATE, EVENT, IMPEDANCE, MODE, SCAN, Channel
from cellkeeper.contract.estimate_state import StringEstimate
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.scan_columns import decode_scan
from cellkeeper.contract.telemetry import ImpedanceSweep, StringMode
from cellkeeper.contract.wire import PayloadRefusedError, decode
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.runtime.session import Incoming, Session

from historian.balance_sieve import BalanceSieve
from historian.estimate_sieve import EstimateSieve
from historian.intake import LivesOf
from historian.recorder import Recorder
from historian.stores.estimate_rows import cell_estimate_row, estimate_row
from historian.stores.state_rows import balance_row, mode_row


@dataclass(slots=True)
class Inlet:
    """Hands messages of the broker to the recorder; what does not parse, or is of another string, is counted."""

    site: str
    recorder: Recorder
    lives: LivesOf
    refusals: RefusalLog = field(default_factory=RefusalLog)
    sieve: BalanceSieve = field(default_factory=BalanceSieve)
    estimate_sieve: EstimateSieve = field(default_factory=EstimateSieve)

    def subscribe(self, session: Session) -> None:
        """Ask for everything that is stored."""
        for channel in (SCAN, BACKFILL):
            session.subscribe(channel.filter(site=self.site), self.scan, qos=channel.qos)
        session.subscribe(IMPEDANCE.filter(site=self.site), self.impedance, qos=IMPEDANCE.qos)
        session.subscribe(EVENT.filter(site=self.site), self.event, qos=EVENT.qos)
        session.subscribe(BALANCE.filter(site=self.site), self._of_string(BALANCE, self._balance), qos=BALANCE.qos)
        session.subscribe(MODE.filter(site=self.site), self._of_string(MODE, self._mode), qos=MODE.qos)
        session.subscribe(ESTIMATE.filter(site=self.site), self._of_string(ESTIMATE, self._estimate), qos=ESTIMATE.qos)

    def scan(self, message: Incoming) -> None:
        """Take a scan or a backfilled one."""
        ids = SCAN.match(message.topic) or BACKFILL.match(message.topic)
        try:
            scan = decode_scan(message.payload)
        except PayloadRefusedError as exc:
            self._refuse(message, str(exc))
            return
        if ids is None or scan.string != ids["string"] or scan.site != self.site:
            self._refuse(message, f"payload is of {scan.site[:32]}/{scan.string[:32]}")
            return
        self.recorder.box.put(scan)

    def impedance(self, message: Incoming) -> None:
        """Take an impedance sweep."""
        self._take(message, ImpedanceSweep)

    def event(self, message: Incoming) -> None:
        """Take an event of any service."""
        self._take(message, Event)

    def _of_string[P: BalanceState | StringMode | StringEstimate](
        self, channel: Channel[P], take: Callable[[P], None]
    ) -> Callable[[Incoming], None]:
        """Return what takes a payload about a string; what a cleared topic leaves is none."""

        def on_message(message: Incoming) -> None:
            if not message.payload:
                return
            ids = channel.match(message.topic)
            try:
                told = decode(channel.payload, message.payload)
            except PayloadRefusedError as exc:
                self._refuse(message, str(exc))
                return
            if ids is None or told.string != ids["string"]:
                self._refuse(message, f"payload is of {told.string}")
            else:
                take(told)

        return on_message

    def _balance(self, told: BalanceState) -> None:
        if self.sieve.keeps(told):
            self.recorder.log_box.put(balance_row(told))

    def _mode(self, told: StringMode) -> None:
        if self.estimate_sieve.keeps_mode(told):
            self.recorder.log_box.put(mode_row(told))

    def _estimate(self, told: StringEstimate) -> None:
        if self.estimate_sieve.keeps_string(told):
            self.recorder.log_box.put(estimate_row(told))
        if self.estimate_sieve.keeps_units(told):
            lives = self.lives(told.string, to_ms(told.measured_at), len(told.soc_frac))
            self.recorder.log_box.put(cell_estimate_row(told, lives))

    def _take(self, message: Incoming, model: type[ImpedanceSweep] | type[Event]) -> None:
        try:
            self.recorder.log_box.put(decode(model, message.payload))
        except PayloadRefusedError as exc:
            self._refuse(message, str(exc))

    def _refuse(self, message: Incoming, why: str) -> None:
        self.refusals.add(message.topic, why)
