"""A scan is taken as what its topic says, or refused and counted: live and late alike."""

import pytest
from analytics.heard_scans import scan_of
from cellkeeper.contract.channels import BACKFILL, SCAN
from cellkeeper.contract.scan_columns import encode_scan
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.runtime.session import Incoming
from cellkeeper.testing import builders

PAYLOAD = encode_scan(builders.scan_of(site="hh1", string="s1", seq=7))


@pytest.mark.parametrize("channel", [SCAN, BACKFILL])
@pytest.mark.parametrize(
    ("site", "string", "payload", "refused"),
    [
        ("hh1", "s1", PAYLOAD, ""),
        ("hh1", "s1", PAYLOAD[: len(PAYLOAD) // 2], "StringScan"),
        ("hh1", "s2", PAYLOAD, "payload is of hh1/s1"),
        ("hh2", "s1", PAYLOAD, "payload is of hh1/s1"),
    ],
)
async def test_a_scan_is_taken_or_refused(channel, site: str, string: str, payload: bytes, refused: str):
    refusals = RefusalLog()
    scan = scan_of(Incoming(channel.topic(site=site, string=string), payload, retained=False), channel, site, refusals)
    assert refusals.count == bool(refused)
    assert refused in refusals._last[1]
    if refused:
        assert scan is None
    else:
        assert scan is not None
        assert (scan.string, scan.seq) == ("s1", 7)


async def test_a_scan_on_a_topic_that_is_not_the_channels_is_refused():
    refusals = RefusalLog()
    message = Incoming(SCAN.topic(site="hh1", string="s1"), PAYLOAD, retained=False)
    assert scan_of(message, BACKFILL, "hh1", refusals) is None
    assert refusals.count == 1
