"""Records on disk: they come back as they were, and damage is said and never read over."""

import json
from dataclasses import replace

import numpy as np
import pytest
from analytics.dossier.canonical import canonical_text, data_sha256
from analytics.dossier.errors import DossierNotWrittenError, RecordDamagedError
from analytics.dossier.record_file import load_checked, load_record, save_record
from dossier_room import Room, basis_of
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def basis():
    return basis_of(Room(samples=40, units=3))


@pytest.fixture
def saved(tmp_path, basis):
    return save_record(tmp_path, basis)


def test_a_record_comes_back_as_it_was(saved, basis):
    again, found = load_checked(saved)
    assert canonical_text(again) == canonical_text(basis)
    assert found == data_sha256(basis)
    np.testing.assert_array_equal(again.record.unit_v, basis.record.unit_v)
    assert again.record.said == basis.record.said
    assert again.context == basis.context
    assert again.earlier == basis.earlier
    assert load_record(saved.with_suffix(".npz")).record.notes == basis.record.notes
    assert load_record(saved.with_suffix("")).record.string == "s1"


def test_saving_twice_gives_the_same_bytes(tmp_path, saved, basis):
    again = save_record(tmp_path / "again", basis)
    for suffix in (".json", ".npz"):
        assert saved.with_suffix(suffix).read_bytes() == again.with_suffix(suffix).read_bytes()


def test_what_is_unknown_stays_unknown(tmp_path, basis):
    record = replace(basis.record, moved_ah=float("nan"), soh_frac=np.full(3, np.nan), said=(), notes=("a note; ü",))
    again = load_record(save_record(tmp_path, replace(basis, record=record))).record
    assert np.isnan(again.moved_ah)
    assert np.isnan(again.soh_frac).all()
    assert again.said == ()
    assert again.notes == ("a note; ü",)


def test_types_of_numbers_in_memory_do_not_change_the_hash(basis):
    wide = replace(basis.record, unit_v=basis.record.unit_v.astype(np.float64), scans=float(basis.record.scans))
    amps = basis.record.discharge_a
    turned = replace(basis.record, discharge_a=np.where(amps == 0.0, -0.0, amps))
    assert data_sha256(replace(basis, record=wide)) == data_sha256(basis)
    assert data_sha256(replace(basis, record=turned)) == data_sha256(basis)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_single_change_shows_in_the_hash(basis, data):
    name = data.draw(
        st.sampled_from(["unit_v", "degc", "discharge_a", "at_s", "soc_frac", "began_s", "notes", "rated_ah"])
    )
    record, context = basis.record, basis.context
    if name == "rated_ah":
        context = replace(context, rated_ah=context.rated_ah + data.draw(st.floats(1e-9, 50.0)))
    elif name == "notes":
        record = replace(record, notes=(data.draw(st.text(min_size=1)),))
    elif name == "began_s":
        record = replace(record, began_s=record.began_s + data.draw(st.sampled_from([1e-3, 1.0, -60.0])))
    else:
        values = getattr(record, name).copy()
        flat = values.reshape(-1)
        at = data.draw(st.integers(0, flat.size - 1))
        flat[at] = np.nan if np.isfinite(flat[at]) else 1.0
        record = replace(record, **{name: values})
    assert data_sha256(replace(basis, record=record, context=context)) != data_sha256(basis)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_byte_is_never_read_over(tmp_path_factory, basis, data):
    path = save_record(tmp_path_factory.mktemp("damage"), basis)
    path = path.with_suffix(data.draw(st.sampled_from([".json", ".npz"])))
    body = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(body) - 1))
    cut = data.draw(st.booleans())
    damaged = body[:at] if cut else body[:at] + bytes([body[at] ^ data.draw(st.integers(1, 255))]) + body[at + 1 :]
    path.write_bytes(damaged)
    try:
        again = load_record(path)
    except RecordDamagedError:
        return
    assert data_sha256(again) == data_sha256(basis)  # white space of the JSON, for example


def test_half_of_a_pair_is_said(saved):
    saved.with_suffix(".npz").unlink()
    with pytest.raises(RecordDamagedError, match=r"one \.json and one \.npz"):
        load_record(saved)


def test_arrays_of_another_record_are_said(tmp_path, saved, basis):
    other = save_record(
        tmp_path / "other", replace(basis, record=replace(basis.record, unit_v=basis.record.unit_v + 1))
    )
    saved.with_suffix(".npz").write_bytes(other.with_suffix(".npz").read_bytes())
    with pytest.raises(RecordDamagedError, match="not the arrays that"):
        load_record(saved)


@pytest.mark.parametrize(("key", "value"), [("version", 2), ("kind", "joke"), ("scans", "many"), ("extra", 1)])
def test_another_form_is_said_with_the_field(saved, key, value):
    head = json.loads(saved.read_text())
    saved.write_text(json.dumps(head | {key: value}))
    with pytest.raises(RecordDamagedError, match=key):
        load_record(saved)


def test_a_changed_field_is_said(saved):
    saved.write_text(saved.read_text().replace('"rated_ah": 100.0', '"rated_ah": 90.0'))
    with pytest.raises(RecordDamagedError, match="changed after it was written"):
        load_record(saved)


def test_a_folder_that_takes_nothing_is_said(tmp_path, basis):
    (tmp_path / "file").write_text("")
    with pytest.raises(DossierNotWrittenError, match="choose another folder"):
        save_record(tmp_path / "file", basis)


def test_an_announced_test_is_read_back_with_its_name_and_others_are_as_before(tmp_path):
    plain = basis_of(Room(units=4, samples=60))
    path = save_record(tmp_path, plain)
    assert "method" not in path.read_text(), "a version before announced tests reads it too"
    assert not any(line.startswith(("basis.record.method", "basis.record.led_by")) for line in lines_of(plain))
    named = basis_of(Room(units=4, samples=60), method="capacity, 3 h", led_by="bms")
    found = load_record(save_record(tmp_path, named)).record
    assert (found.method, found.led_by) == ("capacity, 3 h", "bms")
    assert data_sha256(named) != data_sha256(plain)


def lines_of(basis) -> list[str]:
    return canonical_text(basis).splitlines()
