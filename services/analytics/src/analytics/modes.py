"""The modes of a string, by the names that the contract gives them."""

from typing import Literal

type Mode = Literal["float", "boost", "recharge", "discharge", "rest", "open", "test", "unknown"]
