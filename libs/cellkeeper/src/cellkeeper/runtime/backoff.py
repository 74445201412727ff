"""How long to wait before trying again."""

from collections.abc import Iterator
from random import Random


def retry_delays_s(rng: Random, *, first_s: float = 0.25, cap_s: float = 15.0) -> Iterator[float]:
    """Yield random delays under a ceiling that doubles up to `cap_s`, so that many clients never come back at once."""
    ceiling_s = first_s
    while True:
        yield rng.uniform(ceiling_s / 4.0, ceiling_s)
        ceiling_s = min(cap_s, ceiling_s * 2.0)
