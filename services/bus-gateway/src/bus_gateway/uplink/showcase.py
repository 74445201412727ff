"""Keeps the retained topics beside the scans true (site, strings, dc buses, devices) and clears what is gone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cellkeeper.contract.channels import AUX, DCBUS, MODULE, SITE_META, STRING_META
from cellkeeper.contract.site import Site
from cellkeeper.contract.wire import encode
from cellkeeper.runtime.clock import Clock

from bus_gateway.downlink.situation import Watchtower
from bus_gateway.driver import AuxReadings, Driver, ModuleRecord
from bus_gateway.uplink.dcbus_view import dcbus_state
from bus_gateway.uplink.meta_topics import aux_state, module_state, places_of, site_meta, string_meta
from bus_gateway.uplink.retained import RetainedBoard, Shown, ShownFile
from bus_gateway.uplink.service_register import ServiceRegister

MODULES_AT_ONCE: Final = 256  # compared per turn: 4096 modules take 16 turns, 0.1 ms each
ROUND_S: Final = 5.0  # a look at 4096 modules costs 2 ms, and LEDs and fuses are in every scan anyway
DCBUS_S: Final = 2.0  # event time; a dc bus that goes on battery shows at the next scan, see `tend`


@dataclass(kw_only=True)
class Showcase:
    """The retained topics of one gateway.

    Attributes:
        site, service: whose topics.
        board, file: where they are shown and remembered.
        drivers: each driver once.
        tower: newest facts of the strings.
        register: services of the site.
        clock: event time.
    """

    site: Site
    service: str
    board: RetainedBoard
    file: ShownFile
    drivers: Sequence[Driver]
    tower: Watchtower
    register: ServiceRegister
    clock: Clock
    _shown: Shown = field(init=False)
    _records: dict[str, ModuleRecord] = field(default_factory=dict)
    _sitting: dict[tuple[str, int], str] = field(default_factory=dict)
    _round: list[ModuleRecord] = field(default_factory=list)
    _round_due_s: float = 0.0
    _aux: dict[str, AuxReadings] = field(default_factory=dict)
    _dcbus_told: dict[str, tuple[float, str]] = field(default_factory=dict)
    _services_told: dict[str, str] | None = None
    _file_is_old: bool = True

    def open(self) -> None:
        """Show what `site.toml` says and clear what earlier runs showed and it no longer has."""
        before = self.file.read(self.site.site.id)
        self._shown = self._from_site(before)
        everything = Shown(
            self.site.site.id,
            {string.id: string.cells for string in self.site.string},
            [dcbus.id for dcbus in self.site.dcbus],
            self._shown.modules,
            self._shown.aux,
            writes_meta=True,
        )
        gone = {*before.topics(), *before.leaving} - set(everything.topics())
        self._shown.leaving = dict.fromkeys(sorted(gone))
        self._remember()
        for topic in self._shown.leaving:
            self.board.clear(topic)
        self._show_site()
        now_ms = self.clock.now_ms()
        ids = {"site": self.site.site.id}
        for string in self.site.string:
            if string.id in self._shown.strings:
                payload = encode(string_meta(self.site, string, now_ms))
                self.board.show(STRING_META, STRING_META.topic(**ids, string=string.id), payload)

    def tend(self) -> None:
        """Look at services, devices and dc buses; call it about once a second."""
        self._show_site()
        self._show_modules()
        self._show_aux()
        self._show_dcbuses()
        if self.board.flush() and self._shown.leaving:
            self._shown.leaving.clear()
            self._file_is_old = True
        if self._file_is_old:
            self._remember()

    def _remember(self) -> None:
        """Write down what has topics; a disk that is full takes it later, and nobody's reading waits for that."""
        self._file_is_old = not self.file.write(self._shown)

    def _show_site(self) -> None:
        """Show the site when a service or a version is new; only the first gateway does."""
        versions = self.register.versions
        if not self._shown.writes_meta or self._services_told == versions:
            return
        self._services_told = versions
        payload = encode(site_meta(self.site, self.register, self.clock.now_ms()))
        self.board.show(SITE_META, SITE_META.topic(site=self.site.site.id), payload)

    def _from_site(self, before: Shown) -> Shown:
        site, service = self.site, self.service
        places = places_of(site, service)
        same = before.site == site.site.id
        return Shown(
            site.site.id,
            {string.id: string.cells for string in site.string if site.gateway_of(string) == service},
            [dcbus.id for dcbus in site.dcbus if dcbus.gateway == service],
            {serial: place for serial, place in before.modules.items() if same and place in places},
            {serial: place for serial, place in before.aux.items() if same and place in places},
            writes_meta=site.gateway[0].service == service,
        )

    def _show_modules(self) -> None:
        if not self._round and self.clock.monotonic_s() >= self._round_due_s:
            self._round_due_s = self.clock.monotonic_s() + ROUND_S
            self._round = [record for driver in self.drivers for record in driver.modules()]
        turn, self._round = self._round[:MODULES_AT_ONCE], self._round[MODULES_AT_ONCE:]
        now_ms = self.clock.now_ms()
        new = [record for record in turn if record.kind != "aux" and self._records.get(record.serial) != record]
        for record in new:
            self._records[record.serial] = record
            self._take_place(record.serial, (record.bus, record.address))
        if self._file_is_old:
            self._remember()
        for record in new:
            topic = MODULE.topic(site=self.site.site.id, serial=record.serial)
            self.board.show(MODULE, topic, encode(module_state(record, now_ms)))

    def _take_place(self, serial: str, place: tuple[str, int]) -> None:
        """Note who sits at an address now; the topic of who sat there before goes."""
        places = self._shown.modules
        if places.get(serial) == place:
            return
        if not self._sitting:
            self._sitting = {at: other for other, at in places.items()}
        before = self._sitting.get(place)
        if before is not None and before != serial and places.get(before) == place:
            del places[before]
            self._records.pop(before, None)
            topic = MODULE.topic(site=self.site.site.id, serial=before)
            self._shown.leaving[topic] = None
            self.board.clear(topic)
        self._sitting[place] = serial
        places[serial] = place
        self._file_is_old = True

    def _show_aux(self) -> None:
        due = [readings for driver in self.drivers for readings in driver.aux() if self._aux_is_due(readings)]
        for readings in due:
            self._aux[readings.serial] = readings
            place = (readings.bus, readings.address)
            self._file_is_old |= self._shown.aux.get(readings.serial) != place
            self._shown.aux[readings.serial] = place
        if self._file_is_old:
            self._remember()
        for readings in due:
            topic = AUX.topic(site=self.site.site.id, serial=readings.serial)
            self.board.show(AUX, topic, encode(aux_state(readings)))

    def _aux_is_due(self, readings: AuxReadings) -> bool:
        told = self._aux.get(readings.serial)
        if told is None or not _same_but_time(told, readings):
            return True
        return not 0.0 <= (readings.measured_ms - told.measured_ms) / 1000.0 < self.site.site.refresh_s

    def _show_dcbuses(self) -> None:
        now_s, now_ms = self.clock.monotonic_s(), self.clock.now_ms()
        for dcbus in self._shown.dcbuses:
            facts = {
                string.id: self.tower.facts(string.id)
                for string in self.site.string
                if string.dcbus == dcbus and string.id in self._shown.strings
            }
            state = dcbus_state(dcbus, facts, now_ms)
            told_s, told = self._dcbus_told.get(dcbus, (float("-inf"), ""))
            if told == state.on_battery and now_s - told_s < DCBUS_S:
                continue
            self._dcbus_told[dcbus] = (now_s, state.on_battery)
            self.board.show(DCBUS, DCBUS.topic(site=self.site.site.id, dcbus=dcbus), encode(state))


def _same_but_time(told: AuxReadings, now: AuxReadings) -> bool:
    return (told.inputs, told.relays, told.supply_v, told.quality) == (
        now.inputs,
        now.relays,
        now.supply_v,
        now.quality,
    )
