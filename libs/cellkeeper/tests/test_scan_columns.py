"""The hot path's scan and the model that people read describe one payload."""

import dataclasses
import json

import numpy as np
import orjson
import pytest
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.scan_columns import SCALARS, ScanColumns, decode_scan, encode_scan
from cellkeeper.contract.telemetry import StringScan
from cellkeeper.contract.wire import MAX_PAYLOAD_BYTES, PayloadRefusedError, decode, encode
from cellkeeper.testing.builders import scan_of
from cellkeeper.testing.strategies import scans
from hypothesis import given
from hypothesis import strategies as st

COLUMNS = ("cell_v", "cell_degc", "bleed_frac", "quality", "degc_quality", "status")


def same(one: ScanColumns, other: ScanColumns) -> bool:
    plain = {field.name for field in dataclasses.fields(one)} - set(COLUMNS)
    return all(getattr(one, name) == getattr(other, name) for name in plain) and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name in COLUMNS[:3]) for name in COLUMNS
    )


@given(scans())
def test_what_is_written_is_read_again(scan: ScanColumns):
    assert same(decode_scan(encode_scan(scan)), scan)


@given(scans())
def test_the_model_and_the_columns_agree_on_the_same_bytes(scan: ScanColumns):
    model = decode(StringScan, encode_scan(scan))
    assert (model.site, model.string, model.stream, model.seq) == (scan.site, scan.string, scan.stream, scan.seq)
    assert to_ms(model.measured_at) == scan.measured_ms
    assert [np.nan if v is None else v for v in model.cell_v] == pytest.approx(
        scan.cell_v.tolist(), abs=1e-9, nan_ok=True
    )
    assert model.quality == scan.quality.tolist()
    assert model.status == scan.status.tolist()
    for name in SCALARS:
        assert getattr(model, name) == scan.scalars.get(name)


@given(scans())
def test_the_model_writes_what_the_columns_read(scan: ScanColumns):
    written = encode(decode(StringScan, encode_scan(scan)))
    known = {name: value for name, value in scan.scalars.items() if value is not None}
    assert same(decode_scan(written), dataclasses.replace(scan, scalars=known))


def test_resolution_is_of_the_wire_and_null_is_nan():
    body = orjson.loads(
        encode_scan(scan_of(2, cell_v=np.array([2.25006, np.nan]), cell_degc=np.array([21.999, np.nan])))
    )
    assert body["cell_v"] == [2.2501, None]
    assert body["cell_degc"] == [22.0, None]


def test_the_example_of_the_contract_is_read():
    raw = (
        b'{"v":1,"site":"hh1","string":"s1","stream":"b7f2","seq":48213,"oldest_seq":46100,'
        b'"measured_at":"2026-11-21T05:00:00.000Z","clock":"synced","current_a":-12.4,"scalar_quality":{"current_a":0},'
        b'"cell_v":[2.251,2.249,null],"cell_degc":[22.41,22.38,null],"bleed_frac":[0.0,0.12,null],'
        b'"quality":[0,0,4],"degc_quality":[0,0,4],"status":[0,0,0],"of_a_newer_version":true}'
    )
    scan = decode_scan(raw)
    assert scan.measured_ms == 1_795_237_200_000
    assert scan.scalars == {"current_a": -12.4}
    assert scan.quality.tolist() == [0, 0, 4]
    assert np.isnan(scan.cell_v[2])


WRONG = {
    "not JSON": b"{",
    "an array": b"[]",
    "another version": {"v": 2},
    "columns of two lengths": {"cell_v": [1.0]},
    "nested columns": {"cell_v": [[1.0], [2.0], [3.0], [4.0]]},
    "text in a column": {"cell_v": ["x", 1, 1, 1]},
    "a code nobody knows": {"quality": [9, 0, 0, 0]},
    "a negative code": {"quality": [-1, 0, 0, 0]},
    "a huge code": {"status": [2**70, 0, 0, 0]},
    "seq below zero": {"seq": -1},
    "seq is true": {"seq": True},
    "seq beyond what JSON readers hold": {"seq": 2**60},
    "an instant without milliseconds": {"measured_at": "2026-11-21T05:00:00Z"},
    "an instant that is none": {"measured_at": "2026-13-41T05:00:00.000Z"},
    "clock unknown": {"clock": "sundial"},
    "clock not a text": {"clock": ["synced"]},
    "site not a text": {"site": 7},
    "current a text": {"current_a": "12"},
    "scalar quality a list": {"scalar_quality": []},
    "no units": {name: [] for name in COLUMNS},
    "too many units": {name: [0] * 513 for name in COLUMNS},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_wrong_scan_is_refused_with_one_kind_of_error(change: bytes | dict[str, object]):
    raw = change if isinstance(change, bytes) else json.dumps(orjson.loads(encode_scan(scan_of(4))) | change).encode()
    with pytest.raises(PayloadRefusedError):
        decode_scan(raw)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_null_column_is_refused(column: str):
    raw = orjson.dumps(orjson.loads(encode_scan(scan_of(4))) | {column: None})
    with pytest.raises(PayloadRefusedError):
        decode_scan(raw)


def test_what_the_broker_would_not_carry_is_refused_before_it_is_parsed():
    with pytest.raises(PayloadRefusedError, match="limit"):
        decode_scan(b" " * (MAX_PAYLOAD_BYTES + 1))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_scan_or_refused(raw: bytes):
    with pytest.raises(PayloadRefusedError):
        decode_scan(raw)


@given(scans(), st.data())
def test_a_damaged_scan_never_raises_anything_else(scan: ScanColumns, data: st.DataObject):
    raw = bytearray(encode_scan(scan))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_scan(bytes(raw))
    except PayloadRefusedError:
        return
    assert found.cells >= 1


def test_the_largest_string_fits_through_the_broker():
    raw = encode_scan(scan_of(512, cell_v=np.full(512, -39.9999), cell_degc=np.full(512, -59.99)))
    assert len(raw) < MAX_PAYLOAD_BYTES / 8


@pytest.mark.parametrize(
    ("key", "value"), [("stream", "evil0001"), ("stream", "ab"), ("string", "S 1"), ("site", "../x"), ("string", "")]
)
def test_ids_that_no_topic_could_carry_are_refused(key: str, value: str):
    raw = orjson.dumps(orjson.loads(encode_scan(scan_of(4))) | {key: value})
    with pytest.raises(PayloadRefusedError, match=key):
        decode_scan(raw)
