"""Where the tables and keys of a TOML file stand: parsers of TOML keep no line numbers, people need them. Pure."""

import re
import tomllib
from typing import Final

_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(r"""^\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")

type Place = tuple[int | str, ...]
"""The path of a table or key as pydantic names it: ("string", 0, "cells")."""


class TomlLines:
    """Line numbers, from 1, of the tables, keys and text values of a file.

    Args:
        text: of the whole file; it parses.
    """

    def __init__(self, text: str) -> None:
        self._of_place: dict[Place, int] = {}
        self._of_value: dict[str, int] = {}
        counts: dict[Place, int] = {}
        table: Place = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                table = _place_of_header(header[2].split("."), counts, is_array=header[1] == "[[")
                self._of_place[table] = number
            elif key := _KEY.match(line):
                self._of_place.setdefault((*table, key[1]), number)
                if value := re.search(r"""=\s*["']([^"']*)["']""", line):
                    self._of_value[value[1]] = number

    def line_of(self, place: Place, message: str = "") -> int:
        """Return the line of the nearest table or key above `place`, or of the name a cross check complains about."""
        if not place:
            words = re.findall(r"'([^']+)'|(?:string|bus) ([a-z0-9_-]+)", message)
            named = [self._of_value[word] for pair in words for word in pair if word in self._of_value]
            told = [self._of_place[word,] for word in re.findall(r"[a-z_]+", message) if (word,) in self._of_place]
            return named[-1] if named else next(iter(told), 1)
        for word in re.findall(r"[a-z_]+", message):  # a check of a whole table names the key first
            if (*place, word) in self._of_place:
                return self._of_place[*place, word]
        while place:
            below = [line for known, line in self._of_place.items() if known[: len(place)] == place]
            if below:
                return min(below)
            place = place[:-1]
        return 1


def line_of_syntax(error: tomllib.TOMLDecodeError, text: str) -> int:
    """Return the line at which a file is no TOML; its end when the parser names none."""
    found = re.search(r"at line (\d+)", str(error))
    return int(found[1]) if found else text.count("\n") + 1


def _place_of_header(names: list[str], counts: dict[Place, int], *, is_array: bool) -> Place:
    place: Place = ()
    for depth, name in enumerate(names):
        place = (*place, name.strip().strip("\"'"))
        last = depth == len(names) - 1
        if last and is_array:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place
