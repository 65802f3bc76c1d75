"""A figure: what it is called, how it is measured, and what it has to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backspike.sim.harness.tools import BUILD_ROOT

__all__ = ["FOLDER", "Figure", "NotMeasured"]

FOLDER = BUILD_ROOT / "bench"
"""Where measuring leaves curves and plots, and what need not be measured again."""


class NotMeasured(Exception):
    """A figure that needs something that is not there; the text is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure; what is only reported has no bound."""

    name: str
    what: str
    unit: str
    measure: Callable[[], float]
    at_least: float | None = None
    at_most: float | None = None
    make: str = ""
    """The command that measures it, if that is not ``make bench ONLY=<name>``."""

    @property
    def relation(self) -> str | None:
        """How a value has to lie to ``target``."""
        if self.target is None:
            return None
        return "<=" if self.at_least is None else ">="

    @property
    def target(self) -> float | None:
        """The bound, if there is one."""
        return self.at_most if self.at_least is None else self.at_least

    @property
    def command(self) -> str:
        """How to get this figure alone."""
        return self.make or f"make bench ONLY={self.name}"

    def holds(self, value: float) -> bool:
        """Whether ``value`` is what it has to be."""
        if self.target is None:
            return True
        return value <= self.target if self.at_least is None else value >= self.target
