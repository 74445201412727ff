"""Values that nobody changes, made several times in every scan and for every string.

`dataclass(frozen=True)` guards each value while the program runs, and for that sets every field by a call: making one
takes several times as long, and the scans of a full room make hundreds. Here the type checker guards instead.
"""

from dataclasses import dataclass, field
from typing import dataclass_transform


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def checked_frozen[T](cls: type[T]) -> type[T]:
    """Make a dataclass with slots whose fields mypy lets nobody set."""
    return dataclass(slots=True)(cls)
