"""The canonical text of a dossier's basis, and its SHA-256: what is printed on every page and can be recomputed.

A line per value, `path=value`, in the order of the fields. Every number is written as the shortest decimal that reads
back as the same double; an array as its type, shape and the SHA-256 of its little-endian bytes, with one kind of NaN
and one zero. The types of arrays are fixed here, so that a record in memory and one from a file are the same.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any, Final

import numpy as np

from analytics.dossier.context import DossierBasis

FORM: Final = "cellkeeper-discharge 1"
_DOUBLES: Final = frozenset({"at_s", "soc_frac", "soc_sd_frac", "soh_frac", "soh_sd_frac", "said"})

_LATER: Final = frozenset({"method", "led_by"})  # came after the first records: an empty one has no line, as in those


def array_type(name: str) -> type[np.float64] | type[np.float32]:
    """Return the type in which an array of a record is kept and hashed."""
    return np.float64 if name in _DOUBLES else np.float32


def canonical_text(basis: DossierBasis) -> str:
    """Return the text over which the hash goes: the same basis gives the same text on every machine."""
    return "\n".join([FORM, *_lines("basis", basis)]) + "\n"


def data_sha256(basis: DossierBasis) -> str:
    """Return the SHA-256 of the canonical text, 64 hexadecimal digits."""
    return sha256(canonical_text(basis).encode()).hexdigest()


def _lines(path: str, value: Any) -> Iterator[str]:  # noqa: ANN401  # a tree of dataclasses
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name in _LATER and not getattr(value, field.name):
                continue
            yield from _lines(f"{path}.{field.name}", getattr(value, field.name))
    elif isinstance(value, np.ndarray):
        yield f"{path}={_array(value.astype(array_type(path.rpartition('.')[2])))}"
    elif isinstance(value, tuple):
        yield f"{path}.count={len(value)}"
        for at, each in enumerate(value):
            yield from _lines(f"{path}[{at}]", each)
    else:
        yield f"{path}={_scalar(value)}"


def _scalar(value: Any) -> str:  # noqa: ANN401  # float, int, str, bool or None
    if isinstance(value, str):
        return value.encode("unicode_escape").decode("ascii")
    return str(value) if value is None or isinstance(value, bool) else repr(float(value) + 0.0)


def _array(values: np.ndarray[Any, Any]) -> str:
    plain = values.astype(values.dtype.newbyteorder("<")) + values.dtype.type(0)  # -0.0 becomes 0.0; a copy
    plain[np.isnan(plain)] = np.nan
    shape = ",".join(map(str, values.shape))
    return f"{values.dtype.name}[{shape}]:{sha256(np.ascontiguousarray(plain).tobytes()).hexdigest()}"
