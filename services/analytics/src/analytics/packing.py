"""Frozen dataclasses as bytes and back, whatever fields they have: how the memories of the estimators go to disk. Pure.

A memory holds numbers, texts, numpy arrays, and tuples or dataclasses of these. What is written is JSON of that tree,
a line end, and behind it the raw arrays one after the other; reading is led by the types of the class that is asked
for, so a file can make nothing but it. Every number comes back bit by bit, also NaN and infinity.
"""

from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin, get_type_hints

import numpy as np
import orjson

from analytics.errors import MemoryUnreadableError

type Tree = Any
type Array = np.ndarray[Any, np.dtype[Any]]

_NOT_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def packed(memory: Any) -> bytes:  # noqa: ANN401  # any dataclass
    """Return a dataclass as bytes.

    Raises:
        TypeError: it holds what is no number, text, array, tuple or dataclass.
    """
    arrays: list[Array] = []
    tree = _plain(memory, arrays)
    told = [[each.dtype.str, each.shape] for each in arrays]
    head = orjson.dumps({"arrays": told, "tree": tree}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([head, b"\n", *(np.ascontiguousarray(each).tobytes() for each in arrays)])


def unpacked[M](kind: type[M], raw: bytes) -> M:
    """Return the dataclass of that kind in `raw`.

    Raises:
        MemoryUnreadableError: the bytes are damaged, or of another kind.
    """
    try:
        head, _, rest = raw.partition(b"\n")
        body = orjson.loads(head)
        arrays = _arrays(body["arrays"], rest)
        made = _made(kind, body["tree"], arrays)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, IndexError) as exc:
        raise MemoryUnreadableError(f"{kind.__name__}: {type(exc).__name__} {exc}"[:200]) from exc
    if not isinstance(made, kind):
        raise MemoryUnreadableError(f"no {kind.__name__}")
    return made


def _plain(item: Any, arrays: list[Array]) -> Tree:  # noqa: ANN401
    if isinstance(item, np.ndarray):
        arrays.append(item)
        return {"array": len(arrays) - 1}
    if isinstance(item, np.generic):
        item = item.item()
    if isinstance(item, float) and not np.isfinite(item):
        return {"float": repr(item)}
    if item is None or isinstance(item, bool | int | float | str):
        return item
    if isinstance(item, tuple):
        return [_plain(each, arrays) for each in item]
    if is_dataclass(item):
        return {"of": {field.name: _plain(getattr(item, field.name), arrays) for field in fields(item)}}
    raise TypeError(f"{type(item).__name__} cannot be kept")


def _arrays(told: Tree, raw: bytes) -> list[Array]:
    found: list[Array] = []
    at = 0
    for kind, shape in told:
        dtype = np.dtype(kind)
        if dtype.hasobject:
            raise ValueError("an array of objects")
        end = at + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        found.append(np.frombuffer(raw[at:end], dtype).reshape(shape))
        at = end
    if at != len(raw):
        raise ValueError(f"{len(raw)} bytes of arrays, {at} expected")
    return found


def _made(kind: Any, tree: Tree, arrays: list[Array]) -> Any:  # noqa: ANN401
    """Return what the tree holds, if it is of that kind."""
    kind = _unaliased(kind)
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return _one_of(get_args(kind), tree, arrays)
    if origin is np.ndarray:
        return _array(kind, arrays[tree["array"]])
    if origin is tuple:
        return _tuple(get_args(kind), tree, arrays)
    if origin is Literal:
        return _known(tree, tree in get_args(kind))
    if is_dataclass(kind):
        return _dataclass(kind, tree["of"], arrays)
    return _number_or_text(kind, tree)


def _unaliased(kind: Any) -> Any:  # noqa: ANN401
    """Return what a type is short for; numpy's `NDArray[…]` is an alias with an argument."""
    while True:
        if isinstance(kind, TypeAliasType):
            kind = kind.__value__
        elif isinstance(alias := get_origin(kind), TypeAliasType):
            kind = alias.__value__[get_args(kind)]
        else:
            return kind


def _one_of(kinds: tuple[Any, ...], tree: Tree, arrays: list[Array]) -> Any:  # noqa: ANN401
    if tree is None:
        return _known(tree, NoneType in kinds)
    for kind in kinds:
        try:
            return _made(kind, tree, arrays)
        except (KeyError, TypeError, ValueError):
            continue
    raise ValueError("of none of its kinds")


def _array(kind: Any, found: Array) -> Array:  # noqa: ANN401
    wanted = get_args(get_args(kind)[1])[0]
    if not np.issubdtype(found.dtype, wanted):
        raise ValueError(f"an array of {found.dtype} instead of {wanted}")
    return found


def _tuple(kinds: tuple[Any, ...], tree: Tree, arrays: list[Array]) -> tuple[Any, ...]:
    if not isinstance(tree, list):
        raise TypeError("no tuple")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_made(kinds[0], each, arrays) for each in tree)
    return tuple(_made(kind, each, arrays) for kind, each in zip(kinds, tree, strict=True))


def _dataclass(kind: Any, tree: Tree, arrays: list[Array]) -> Any:  # noqa: ANN401
    """Return an instance; a field that came with a newer version has its default, if it has one."""
    hints = _hints(kind)
    return kind(**{name: _made(hints[name], tree[name], arrays) for name in hints if name in tree})


@cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


def _number_or_text(kind: Any, tree: Tree) -> Any:  # noqa: ANN401
    if kind is float:
        if isinstance(tree, dict):
            return _NOT_FINITE[tree["float"]]
        return float(_known(tree, isinstance(tree, int | float) and not isinstance(tree, bool)))
    if kind in {bool, int, str}:
        return _known(tree, type(tree) is kind)
    if kind in {None, NoneType}:
        return _known(tree, tree is None)
    raise TypeError(f"{kind} cannot be kept")


def _known(tree: Tree, is_known: bool) -> Any:  # noqa: ANN401, FBT001
    if not is_known:
        raise ValueError(f"{str(tree)[:40]!r} is not of its kind")
    return tree
