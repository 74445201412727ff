"""Bounded hand-over between a callback and the task that works."""

import asyncio
from collections import deque


class Mailbox[T]:
    """First in, first out, at most `limit` items. When full the newest is refused and counted in `refused`."""

    def __init__(self, limit: int) -> None:
        self._items: deque[T] = deque()
        self._limit = limit
        self._filled = asyncio.Event()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Take an item; False when the box is full and the item was refused."""
        if len(self._items) >= self._limit:
            self.refused += 1
            return False
        self._items.append(item)
        self._filled.set()
        return True

    async def take_all(self) -> list[T]:
        """Wait until there is something and return everything, oldest first."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        return self.drain()

    def drain(self) -> list[T]:
        """Return everything that is there now, oldest first."""
        taken = list(self._items)
        self._items.clear()
        return taken


class LatestPerKey[K, V]:
    """Hold one newest value per key; `replaced` counts values nobody saw."""

    def __init__(self) -> None:
        self._newest: dict[K, V] = {}
        self.replaced = 0

    def put(self, key: K, value: V) -> None:
        """Keep `value` as the newest of `key`."""
        self.replaced += key in self._newest
        self._newest[key] = value

    def take_all(self) -> dict[K, V]:
        """Return and forget everything held."""
        taken, self._newest = self._newest, {}
        return taken
