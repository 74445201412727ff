"""What a certificate says, without the library that reads it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cellkeeper.runtime.errors import RuntimeProblemError


class CertificateUnusableError(RuntimeProblemError):
    """A file is not a certificate or key: the text names it and says what to do."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a person or a policy wants to know of a certificate."""

    name: str
    not_before: datetime
    not_after: datetime
    hosts: tuple[str, ...] = ()

    def left(self, now: datetime) -> timedelta:
        """Return how long it is still valid; negative when it has expired."""
        return self.not_after - now


def utc(moment: datetime) -> str:
    """Return an instant as people read it in a message."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
