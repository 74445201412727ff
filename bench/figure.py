"""One figure of a benchmark: a name, a number, a unit and the goal it is held against."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value.

    Attributes:
        name: as the contract names it.
        value: what was measured.
        unit: of the value; "ratio" for a quotient of two measurements of the same run.
        goal: the number to reach, None where a figure is only reported.
        better: which side of the goal is the good one.
        note: conditions that the number means nothing without.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the goal is met; true without one."""
        if self.goal is None:
            return True
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal

    def line(self) -> str:
        """Return `name value unit (goal)`."""
        sign = "<=" if self.better == "lower" else ">="
        goal = "" if self.goal is None else f" ({sign} {self.goal:g}{'' if self.reached else ', missed'})"
        return f"{self.name} {self.value:.4g} {self.unit}{goal}"
