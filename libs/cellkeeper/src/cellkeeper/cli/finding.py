"""What the doctor says of one thing it looked at."""

from dataclasses import dataclass
from typing import Literal

type Verdict = Literal["good", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `text` says what to do when it is not good."""

    verdict: Verdict
    about: str
    text: str
