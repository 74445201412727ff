"""How long one sample of a bus takes, from docs/bus-protocol.md, sections 5.1 and 11. Pure."""

from typing import Final

from cellkeeper.contract.site import BAUD_RATES, BusTable, Site

CHARACTER_BITS: Final = 10
SHORTEST_GAP_S: Final = 10e-6
REPLY_BYTES: Final = 12
TRAIN_REQUEST_BYTES: Final = 12
LIST_REQUEST_BYTES: Final = 11  # and two for each address
LONGEST_TRAIN: Final = 64
WINDOW_S: Final = 0.107  # 100 ms of sampling, the slowest module clock, and the 5 ms until the result is complete


def scan_takes_s(site: Site, bus: BusTable, baud: int | None = None) -> float:
    """Return the shortest real time between two samples of a bus: its window, then every device once.

    Args:
        site: that the bus belongs to.
        bus: with driver c44.
        baud: another rate than the bus has.
    """
    character_s = CHARACTER_BITS / (baud or bus.baud)
    gap_s = max(character_s, SHORTEST_GAP_S)
    runs = [run.count for string in site.string for run in string.modules if run.bus == bus.id]
    sensors = sum(sensor.bus == bus.id for string in site.string for sensor in string.sensor)
    sensors += sum(aux.bus == bus.id for aux in site.aux)
    trains, lists = sum(-(-count // LONGEST_TRAIN) for count in runs), -(-sensors // LONGEST_TRAIN)
    devices = sum(runs) + sensors
    request_bytes = trains * TRAIN_REQUEST_BYTES + lists * LIST_REQUEST_BYTES + 2 * sensors
    slots_s = devices * (REPLY_BYTES * character_s + 1.1 * gap_s)
    return WINDOW_S + request_bytes * character_s + slots_s + (trains + lists) * gap_s


def fast_enough_baud(site: Site, bus: BusTable) -> int | None:
    """Return the lowest baud rate at which the bus holds `scan_s`; None when the highest is too slow."""
    return next((baud for baud in BAUD_RATES if scan_takes_s(site, bus, baud) <= site.site.scan_s), None)
