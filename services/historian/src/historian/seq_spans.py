"""Which numbers of a stream are accounted for: a set of integers kept as disjoint closed spans."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class SeqSpans:
    """Integers >= 0 as sorted, disjoint, non-touching closed spans.

    A stream that arrives in order is one span, however long it runs.
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for first, last in spans:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Put in every number from `first` to `last`, both included; an empty span (`last < first`) adds nothing."""
        if last < first:
            return
        low = bisect_right(self._ends, first - 2)  # spans that end at first - 1 touch
        high = bisect_right(self._starts, last + 1)
        if low < high:
            first = min(first, self._starts[low])
            last = max(last, self._ends[high - 1])
        self._starts[low:high] = [first]
        self._ends[low:high] = [last]

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self._starts, seq) - 1
        return at >= 0 and seq <= self._ends[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        """Return the number of spans; 1 where nothing is missing."""
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeqSpans) and self._starts == other._starts and self._ends == other._ends

    __hash__ = None  # type: ignore[assignment]  # mutable

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the spans of `first`..`last` that are not in the set, in order."""
        gaps: list[tuple[int, int]] = []
        at = bisect_right(self._ends, first - 1)
        while first <= last:
            if at == len(self._starts) or self._starts[at] > last:
                gaps.append((first, last))
                break
            if self._starts[at] > first:
                gaps.append((first, self._starts[at] - 1))
            first = self._ends[at] + 1
            at += 1
        return gaps

    def covered_to(self) -> int:
        """Return the end of the span that begins at 0, or -1 when 0 is missing."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else -1

    def copy(self) -> "SeqSpans":
        """Return an independent set of the same numbers."""
        twin = SeqSpans()
        twin._starts, twin._ends = self._starts.copy(), self._ends.copy()
        return twin
