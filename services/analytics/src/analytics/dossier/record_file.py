"""Records of discharges on disk: `NAME.npz` holds the arrays, `NAME.json` the rest and the hashes of both.

The arrays are written first and the JSON last, each file whole or not at all: a JSON without its arrays, or arrays that
are not those it names, is damage and never a record. What is read back is bounded and checked like any input.
"""

import zipfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from cellkeeper.runtime.whole_file import whole_file
from pydantic import BaseModel, ConfigDict, ValidationError

from analytics.discharge.record import DischargeRecord, RuntimeSaid
from analytics.dossier.canonical import array_type, data_sha256
from analytics.dossier.context import DossierBasis, DossierContext, EarlierResult
from analytics.dossier.errors import DossierNotWrittenError, RecordDamagedError

MAX_JSON_BYTES: Final = 4_000_000
MAX_ARRAYS_BYTES: Final = 200_000_000  # 20 000 samples of 512 units, volts and temperatures, single precision: 82 MB
MAX_SAMPLES: Final = 20_000
MAX_UNITS: Final = 512
_PER_SAMPLE: Final = ("at_s", "discharge_a", "string_v", "ambient_degc")
_PER_SAMPLE_AND_UNIT: Final = ("unit_v", "degc")
_PER_END_AND_UNIT: Final = ("soc_frac", "soc_sd_frac")
_PER_UNIT: Final = ("soh_frac", "soh_sd_frac")
_ARRAYS: Final = (*_PER_SAMPLE, *_PER_SAMPLE_AND_UNIT, *_PER_END_AND_UNIT, *_PER_UNIT)
_SAID: Final = ("at_s", "unit_left_s", "unit_left_sd_s", "cell", "bus_left_s", "bus_left_sd_s")


class _Head(BaseModel):
    """The JSON beside the arrays."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    form: Literal["cellkeeper-discharge"] = "cellkeeper-discharge"
    version: Literal[1] = 1
    data_sha256: str
    arrays_sha256: str
    string: str
    kind: Literal["outage", "test"]
    began_s: float
    ended_s: float
    ended_by: Literal["recharge", "rest", "open", "lost"]
    moved_ah: float | None
    scans: int
    missing_s: float
    notes: tuple[str, ...]
    method: str = ""
    led_by: str = ""
    context: DossierContext
    earlier: tuple[EarlierResult, ...]


def record_name(record: DischargeRecord) -> str:
    """Return the name that files of a record have: string, UTC second of the onset, kind."""
    return f"{record.string}_{name_of(record.began_s)}_{record.kind}"


def name_of(at_s: float) -> str:
    """Return an event time as names of records have it; they sort as times do."""
    onset = np.datetime_as_string(np.datetime64(int(at_s), "s"))
    return f"{str(onset).replace('-', '').replace(':', '')}Z"


def save_record(folder: Path, basis: DossierBasis) -> Path:
    """Write the basis of a dossier below its name and return the path of the JSON.

    Raises:
        DossierNotWrittenError: the folder cannot be made or does not take the files.
    """
    arrays = _packed(basis.record)
    head = _head(basis, sha256(arrays).hexdigest())
    path = folder / f"{record_name(basis.record)}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path.with_suffix(".npz")) as sink:
            sink.write(arrays)
        with whole_file(path) as sink:
            # A version before announced tests refuses their fields: it can read all other records.
            unsaid = set() if head.method else {"method", "led_by"}
            sink.write(head.model_dump_json(indent=1, exclude=unsaid).encode() + b"\n")
    except OSError as exc:
        raise DossierNotWrittenError(f"{folder}: {exc.strerror or exc}; choose another folder") from exc
    return path


def load_record(path: Path) -> DossierBasis:
    """Return the basis in `NAME.json` and `NAME.npz`; either name, or the name without suffix, will do.

    Raises:
        RecordDamagedError: a file is missing, damaged, of another form, or not the one that belongs to the other.
    """
    basis, _ = load_checked(path)
    return basis


def load_checked(path: Path) -> tuple[DossierBasis, str]:
    """Return the basis and its hash, which is recomputed and the one written in the file; raises RecordDamagedError."""
    head_path = path.with_suffix(".json") if path.suffix in {".npz", ".json"} else path.with_name(f"{path.name}.json")
    head = _read_head(head_path)
    arrays_path = head_path.with_suffix(".npz")
    packed = _read_bytes(arrays_path, MAX_ARRAYS_BYTES)
    if sha256(packed).hexdigest() != head.arrays_sha256:
        raise RecordDamagedError(
            f"{arrays_path}: not the arrays that {head_path.name} names; take both files from the backup"
        )
    basis = DossierBasis(_record(head, _unpacked(packed, arrays_path)), head.context, head.earlier)
    found = data_sha256(basis)
    if found != head.data_sha256:
        raise RecordDamagedError(f"{head_path}: changed after it was written; take both files from the backup")
    return basis, found


def _head(basis: DossierBasis, arrays_sha256: str) -> _Head:
    record = basis.record
    return _Head(
        data_sha256=data_sha256(basis),
        arrays_sha256=arrays_sha256,
        string=record.string,
        kind=record.kind,
        began_s=record.began_s,
        ended_s=record.ended_s,
        ended_by=record.ended_by,
        moved_ah=record.moved_ah if np.isfinite(record.moved_ah) else None,
        scans=record.scans,
        missing_s=record.missing_s,
        notes=record.notes,
        method=record.method,
        led_by=record.led_by,
        context=basis.context,
        earlier=basis.earlier,
    )


def _packed(record: DischargeRecord) -> bytes:
    said = np.array([[getattr(each, name) for name in _SAID] for each in record.said], np.float64)
    arrays = {name: np.asarray(getattr(record, name), array_type(name)) for name in _ARRAYS}
    sink = BytesIO()
    np.savez_compressed(sink, allow_pickle=False, said=said.reshape(-1, len(_SAID)), **arrays)
    return sink.getvalue()


def _read_head(path: Path) -> _Head:
    try:
        return _Head.model_validate_json(_read_bytes(path, MAX_JSON_BYTES))
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RecordDamagedError(f"{path}: no record of a discharge ({where}: {first['msg']})") from exc


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as source:
            found = source.read(limit + 1)
    except OSError as exc:
        raise RecordDamagedError(f"{path}: {exc.strerror or exc}; a record is one .json and one .npz") from exc
    if len(found) > limit:
        raise RecordDamagedError(f"{path}: larger than any record ({limit} bytes)")
    return found


def _unpacked(packed: bytes, path: Path) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    try:
        with zipfile.ZipFile(BytesIO(packed)) as pack:
            if sum(each.file_size for each in pack.infolist()) > MAX_ARRAYS_BYTES:
                raise RecordDamagedError(f"{path}: unpacks to more than any record")
        with np.load(BytesIO(packed), allow_pickle=False) as pack:
            arrays = {name: np.asarray(pack[name], array_type(name)) for name in (*_ARRAYS, "said")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as exc:
        raise RecordDamagedError(f"{path}: no arrays of a record ({exc}); take both files from the backup") from exc
    _require_shapes(arrays, path)
    return arrays


def _require_shapes(arrays: dict[str, np.ndarray[Any, np.dtype[Any]]], path: Path) -> None:
    samples, units = len(arrays["at_s"]) if arrays["at_s"].ndim else -1, len(np.atleast_1d(arrays["soh_frac"]))
    wanted = dict.fromkeys(_PER_SAMPLE, (samples,)) | dict.fromkeys(_PER_SAMPLE_AND_UNIT, (samples, units))
    wanted |= dict.fromkeys(_PER_END_AND_UNIT, (2, units)) | dict.fromkeys(_PER_UNIT, (units,))
    wrong = [name for name, shape in wanted.items() if arrays[name].shape != shape]
    if arrays["said"].ndim != 2 or arrays["said"].shape[1] != len(_SAID):
        wrong.append("said")
    if wrong or not 0 <= samples <= MAX_SAMPLES or not 1 <= units <= MAX_UNITS:
        raise RecordDamagedError(f"{path}: arrays do not fit together ({', '.join(wrong) or 'too many samples'})")


def _record(head: _Head, arrays: dict[str, np.ndarray[Any, np.dtype[Any]]]) -> DischargeRecord:
    said = tuple(RuntimeSaid(a, b, c, int(cell), d, e) for a, b, c, cell, d, e in arrays.pop("said").tolist())
    return DischargeRecord(
        string=head.string,
        kind=head.kind,
        began_s=head.began_s,
        ended_s=head.ended_s,
        ended_by=head.ended_by,
        moved_ah=np.nan if head.moved_ah is None else head.moved_ah,
        said=said,
        scans=head.scans,
        missing_s=head.missing_s,
        notes=head.notes,
        method=head.method,
        led_by=head.led_by,
        **arrays,
    )
