"""The topic table: every row makes topics that only it reads back, and nothing hostile becomes a level."""

import re

import pytest
from cellkeeper.contract.channels import CELL, CHANNELS, COMMAND, SCAN, Channel, TopicError
from cellkeeper.testing.strategies import hostile_levels, ids
from hypothesis import given
from hypothesis import strategies as st

LEVELS = {
    "name": st.sampled_from(["bleed", "measure_impedance"]),
    "cell": st.integers(1, 512),
    "serial": st.from_regex(r"[A-Z0-9-]{4,24}", fullmatch=True),
}
CONTRACT = {  # the table of the contract: topic under the root, QoS, retained
    "meta": (1, True),
    "string/{string}/meta": (1, True),
    "string/{string}/scan": (1, False),
    "string/{string}/backfill": (1, False),
    "string/{string}/stored": (1, True),
    "string/{string}/summary": (1, True),
    "string/{string}/impedance": (1, False),
    "string/{string}/cell/{cell}": (0, True),
    "string/{string}/mode": (1, True),
    "string/{string}/estimate": (1, True),
    "string/{string}/cell/{cell}/estimate": (0, True),
    "string/{string}/balance": (1, True),
    "dcbus/{dcbus}/state": (1, True),
    "module/{serial}": (1, True),
    "aux/{serial}": (1, True),
    "event/{service}": (1, False),
    "service/{service}": (1, True),
    "command/{service}/{name}/{issuer}": (1, False),
    "outcome/{service}/{issuer}": (1, False),
}
EXPIRING = {"summary", "cell", "mode", "estimate", "cell-estimate", "balance", "dcbus", "aux"}


def filled(channel: Channel, data: st.DataObject) -> dict[str, int | str]:
    return {name: data.draw(LEVELS.get(name, ids()), label=name) for name in channel.ids}


def test_the_table_is_the_contract():
    assert {c.template.removeprefix("cellkeeper/v1/{site}/"): (c.qos, c.retain) for c in CHANNELS} == CONTRACT
    assert {c.name for c in CHANNELS if c.lifetime == "expiring"} == EXPIRING


def test_a_command_is_never_retained():
    assert not COMMAND.retain


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda c: c.name)
@given(data=st.data())
def test_a_topic_is_read_back_by_its_own_channel_alone(channel: Channel, data: st.DataObject):
    given_ids = filled(channel, data)
    topic = channel.topic(**given_ids)
    assert channel.match(topic) == {name: str(value) for name, value in given_ids.items()}
    assert [other.name for other in CHANNELS if other.match(topic)] == [channel.name]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda c: c.name)
@given(data=st.data())
def test_no_hostile_text_becomes_a_level(channel: Channel, data: st.DataObject):
    given_ids = filled(channel, data)
    name = data.draw(st.sampled_from(channel.ids))
    hostile = data.draw(hostile_levels())
    with pytest.raises(TopicError):
        channel.topic(**{**given_ids, name: hostile})
    with pytest.raises(TopicError):
        channel.filter(**{name: hostile})


@pytest.mark.parametrize("cell", [0, -1, "01", "1.0", 1000, "1e2", " 1"])
def test_a_cell_is_a_count_without_padding(cell: int | str):
    with pytest.raises(TopicError):
        CELL.topic(site="hh1", string="s1", cell=cell)


def test_a_missing_id_is_an_error():
    with pytest.raises(TopicError, match="string"):
        SCAN.topic(site="hh1")


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda c: c.name)
@given(data=st.data())
def test_a_filter_lets_its_own_topics_through(channel: Channel, data: st.DataObject):
    given_ids = filled(channel, data)
    some = {name: value for name, value in given_ids.items() if data.draw(st.booleans())}
    pattern = re.escape(channel.filter(**some)).replace(r"\+", "[^/]+")
    assert re.fullmatch(pattern, channel.topic(**given_ids))


@given(st.text(max_size=80))
def test_any_text_is_matched_or_not_and_never_an_error(text: str):
    assert all(channel.match(text) is None for channel in CHANNELS)


def test_a_longer_or_shorter_topic_does_not_match():
    topic = SCAN.topic(site="hh1", string="s1")
    assert SCAN.match(topic + "/x") is None
    assert SCAN.match(topic + "\n") is None
    assert SCAN.match("x/" + topic) is None
    assert SCAN.match(topic.removesuffix("/scan")) is None
