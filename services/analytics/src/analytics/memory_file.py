"""What was learned of every string, on disk: a restart goes on without a jump, and years of trends are not lost.

One file of format 1: a line of JSON (format, the layout it belongs to, and where each part begins), then the parts as
`packing` writes them, compressed. Each estimator's memory is a part of its own with a check sum: one that cannot be
read, after an upgrade for example, begins anew alone. A string that `site.toml` describes otherwise now begins anew,
the others go on.
"""

import zlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from cellkeeper.runtime.whole_file import whole_file

from analytics.errors import MemoryUnreadableError
from analytics.packing import packed, unpacked
from analytics.readings import Layout
from analytics.refitting import Move, refitted

FORMAT: Final = 1
KEPT_ASIDE: Final = 5
LEVEL: Final = 1  # columns without a value vanish; more effort gains nothing on noise


@dataclass(frozen=True, slots=True)
class Recalled[M]:
    """What a file gave back.

    Attributes:
        memory: whole, with today's layout.
        strings_anew: strings that begin anew though there was a file.
        strings_lost: strings that the file knows and that are gone or described otherwise now.
        parts_anew: parts that begin anew, each with why.
    """

    memory: M
    strings_anew: tuple[str, ...] = ()
    strings_lost: tuple[str, ...] = ()
    parts_anew: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """The file of one process."""

    path: Path

    def write(self, memory: Any, layout: Layout) -> bool:  # noqa: ANN401  # a dataclass of memories
        """Replace the file; False when the disk does not take it (it is written again with the next round)."""
        parts = {f.name: zlib.compress(packed(getattr(memory, f.name)), LEVEL) for f in fields(memory)}
        places: dict[str, tuple[int, int, int]] = {}
        at = 0
        for name, raw in parts.items():
            places[name] = at, len(raw), zlib.crc32(raw)
            at += len(raw)
        head = orjson.dumps({"format": FORMAT, "layout": _told(layout), "parts": places})
        try:
            with whole_file(self.path) as file:
                file.write(head + b"\n")
                for raw in parts.values():
                    file.write(raw)
        except OSError:
            return False
        return True

    def read[M](self, empty: M, layout: Layout) -> Recalled[M]:
        """Return what was remembered; `empty`, which is a dataclass of memories, where there is no file.

        Raises:
            MemoryUnreadableError: the file is there and nothing of it can be used.
        """
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return Recalled(empty)
        except OSError as exc:
            raise MemoryUnreadableError(f"{self.path}: {exc.strerror}") from exc
        head, _, rest = raw.partition(b"\n")
        try:
            body = orjson.loads(head)
            told, before, places = body["format"], _layout(body["layout"]), dict(body["parts"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as exc:
            raise MemoryUnreadableError(f"{self.path}: {type(exc).__name__}") from exc
        if told != FORMAT:
            raise MemoryUnreadableError(f"{self.path}: format {told!r}, this version reads {FORMAT}")
        move, made, lost = Move.between(before, layout), {}, []
        for field in fields(empty):  # type: ignore[arg-type]  # a dataclass
            new = made[field.name] = getattr(empty, field.name)
            if field.name not in places:  # the version that wrote it had no such estimator: nothing is lost
                continue
            try:
                old = unpacked(type(new), _part(rest, places, field.name))
                made[field.name] = refitted(old, new, move)
            except MemoryUnreadableError as exc:
                lost.append(f"{field.name} ({exc})")
        missing = tuple(each for each in before.strings if each in move.anew or each not in layout.strings)
        return Recalled(replace(empty, **made), move.anew, missing, tuple(lost))  # type: ignore[type-var]

    def set_aside(self, stamp: str) -> Path | None:
        """Copy the file under a name with `stamp` and return that, for a person who wants it back; None without room.

        The newest few of them are kept.
        """
        copy = self.path.with_name(f"{self.path.stem}.before-{stamp}{self.path.suffix}")
        try:
            with whole_file(copy) as file:
                file.write(self.path.read_bytes())
            for old in sorted(self.path.parent.glob(f"{self.path.stem}.before-*{self.path.suffix}"))[:-KEPT_ASIDE]:
                old.unlink(missing_ok=True)
        except OSError:
            return None
        return copy


def _part(rest: bytes, places: dict[str, Any], name: str) -> bytes:
    try:
        start, length, check = places[name]
        raw = rest[start : start + length]
    except (KeyError, TypeError, ValueError) as exc:
        raise MemoryUnreadableError("it is not there") from exc
    if len(raw) != length or zlib.crc32(raw) != check:
        raise MemoryUnreadableError("it is damaged")
    return zlib.decompress(raw)


def _told(layout: Layout) -> dict[str, Any]:
    return {
        "strings": layout.strings,
        "units": np.diff(layout.first).tolist(),
        "cells_per_unit": [float(layout.cells_per_unit[at]) for at in layout.first[:-1]],
    }


def _layout(told: dict[str, Any]) -> Layout:
    strings = [str(each) for each in told["strings"]]
    units = dict(zip(strings, map(int, told["units"]), strict=True))
    return Layout.of(units, dict(zip(strings, map(int, told["cells_per_unit"]), strict=True)))
