"""One row of the topic table: a topic with its ids, what travels there, how long it stays and who writes it."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from cellkeeper.contract.payload import Request, Telemetry

_ID: Final = r"[a-z0-9][a-z0-9_-]{0,31}"
_LEVELS: Final = {
    "site": _ID,
    "string": _ID,
    "dcbus": _ID,
    "service": _ID,
    "issuer": _ID,
    "name": r"[a-z][a-z0-9_]{0,31}",
    "cell": r"[1-9]\d{0,2}",
    "serial": r"[A-Z0-9-]{4,24}",
}


class TopicError(ValueError):
    """An id would not be one level of a topic."""


@dataclass(frozen=True, slots=True)
class Channel[P: Telemetry | Request]:
    """One row of the table.

    Attributes:
        name: how documents call it.
        template: the topic with its ids in braces.
        payload: what travels.
        qos: as it is published.
        lifetime: `live` is never retained; `kept` is retained; `expiring` is retained with an MQTT 5 message expiry of
            the string's (or site's) `stale_after_s`.
        writer: the one that publishes there: a kind of service, or `that service`, `that issuer`, `the service that was
            asked` where a level of the topic names it.
        summary: one sentence for the documents.
        readers: kinds of services that subscribe; every service reads presences, and what is addressed to it.
    """

    name: str
    template: str
    payload: type[P]
    qos: Literal[0, 1]
    lifetime: Literal["live", "kept", "expiring"]
    writer: str
    summary: str
    readers: tuple[str, ...] = ()

    @property
    def retain(self) -> bool:
        """Whether the broker keeps the newest payload for latecomers."""
        return self.lifetime != "live"

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the topic's variable levels, in order."""
        return tuple(re.findall(r"{(\w+)}", self.template))

    def topic(self, **ids: int | str) -> str:
        """Return the topic with every id filled in.

        Raises:
            TopicError: an id is missing or is not one clean level.
        """
        levels = {}
        for name in self.ids:
            value = str(ids.get(name, ""))
            if not re.fullmatch(_LEVELS[name], value):
                raise TopicError(f"{name}={value[:40]!r} cannot stand in {self.template}")
            levels[name] = value
        return self.template.format(**levels)

    def filter(self, **ids: int | str) -> str:
        """Return a subscription filter: ids that are not given become `+`."""
        wild = dict.fromkeys(self.ids, "+")
        given = {name: str(value) for name, value in ids.items()}
        for name, value in given.items():
            if not re.fullmatch(_LEVELS[name], value):
                raise TopicError(f"{name}={value[:40]!r} cannot stand in {self.template}")
        return self.template.format(**(wild | given))

    def match(self, topic: str) -> dict[str, str] | None:
        """Return the ids in `topic`, or None when it is not of this channel."""
        found = _pattern(self.template).fullmatch(topic)
        return found.groupdict() if found else None


_patterns: dict[str, re.Pattern[str]] = {}


def _pattern(template: str) -> re.Pattern[str]:
    if template not in _patterns:
        _patterns[template] = re.compile(
            re.sub(r"{(\w+)}", lambda level: f"(?P<{level[1]}>{_LEVELS[level[1]]})", template)
        )
    return _patterns[template]
