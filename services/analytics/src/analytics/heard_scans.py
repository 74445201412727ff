"""A scan that came from the broker, live or late: read and held against its topic, or refused."""

from cellkeeper.contract.channel import Channel
from cellkeeper.contract.scan_columns import ScanColumns, decode_scan
from cellkeeper.contract.telemetry import StringScan
from cellkeeper.contract.wire import PayloadRefusedError
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.runtime.session import Incoming


def scan_of(message: Incoming, channel: Channel[StringScan], site: str, refusals: RefusalLog) -> ScanColumns | None:
    """Return the scan in a message; None for one that was refused.

    Args:
        message: as it came.
        channel: on which it came.
        site: id of the site whose scans these are.
        refusals: takes what cannot be read, and scans of another site or string than the topic says.
    """
    try:
        scan = decode_scan(message.payload)
    except PayloadRefusedError as exc:
        refusals.add(message.topic, str(exc))
        return None
    ids = channel.match(message.topic)
    if ids is None or (scan.site, scan.string) != (site, ids["string"]):
        refusals.add(message.topic, f"payload is of {scan.site}/{scan.string}")
        return None
    return scan
