"""Lets each command through at most once, before its expiry. Pure; time is an argument."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from cellkeeper.contract.commands import Command
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.outcomes import Refused

MAX_AHEAD_S: Final = 3600.0  # who plans further ahead sends the command when its time comes
KEPT_AFTER_EXPIRY_S: Final = 86_400.0  # a clock set back by up to a day does not make an old id new
MAX_SEEN: Final = 20_000


class CommandGate:
    """Lets each command id through at most once, before its expiry.

    Args:
        seen: ids that were already taken, with their expiry in ms.
    """

    def __init__(self, seen: Mapping[UUID, int]) -> None:
        self._seen = dict(seen)

    def admit(self, command: Command, now_ms: int) -> Refused | None:
        """Return why a command must not act, or None; in that case its id is used up."""
        expires_ms = to_ms(command.expires_at)
        if command.id in self._seen:
            return Refused(reason="repeated", detail="this id was taken before; a new intent needs a new id")
        if expires_ms <= now_ms:
            return Refused(reason="expired", detail=f"{(now_ms - expires_ms) / 1000.0:.1f} s too late")
        if expires_ms > now_ms + MAX_AHEAD_S * 1000.0:
            return Refused(reason="too_far_ahead", detail=f"expires_at may be at most {MAX_AHEAD_S:g} s ahead")
        self._forget(now_ms)
        if len(self._seen) >= MAX_SEEN:
            return Refused(reason="busy", detail="too many commands within a day")
        self._seen[command.id] = expires_ms
        return None

    def seen(self) -> dict[UUID, int]:
        """Return the ids that count as taken, with their expiry in ms."""
        return dict(self._seen)

    def _forget(self, now_ms: int) -> None:
        limit_ms = now_ms - KEPT_AFTER_EXPIRY_S * 1000.0
        if len(self._seen) >= MAX_SEEN:
            self._seen = {id_: expires_ms for id_, expires_ms in self._seen.items() if expires_ms > limit_ms}
