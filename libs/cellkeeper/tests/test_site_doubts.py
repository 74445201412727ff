"""What a site.toml can say and hardly means."""

from datetime import UTC, datetime

import pytest
from cellkeeper.cli.site_doubts import site_doubts
from cellkeeper.contract.site_file import parse_site

NOW = datetime(2026, 11, 27, tzinfo=UTC)
SITE = """
[site]
id = "hh1"
name = "Room"
[[bus]]
id = "b1"
port = "/dev/ttyUSB0"
[[dcbus]]
id = "ups1"
load_w = {load_w}
[[string]]
id = "s1"
dcbus = "ups1"
cells = 24
chemistry = "vrla_agm"
rated_ah = 100.0
commissioned = {commissioned}
[[string.modules]]
bus = "b1"
first_address = 1
count = 24
[string.life]
5 = {{ life = 2, since = {since} }}
"""


def doubts(load_w="9600.0", commissioned="2024-01-01", since="2026-01-01T00:00:00Z"):
    text = SITE.format(load_w=load_w, commissioned=commissioned, since=since)
    return list(site_doubts(parse_site(text.encode()), NOW))


def test_a_usual_site_raises_none():
    assert doubts() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"load_w": "9.6"}, "load_w 9.6 would last 500 h; write watts"),
        ({"load_w": "9600000.0"}, "would last 2 s; write watts"),
        ({"commissioned": "2044-01-01"}, "commissioned 2044-01-01 lies in the future"),
        ({"since": "2036-01-01T00:00:00Z"}, "of cell 5 lies in the future"),
    ],
)
def test_what_is_hardly_meant_is_said(changes, said):
    (told,) = doubts(**changes)
    assert said in told
