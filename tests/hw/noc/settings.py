"""What a test of this folder tells the cocotb testbench that it launches."""

from __future__ import annotations

from dataclasses import dataclass

from backspike.hw.noc.copy import CopyEngine, Route

WORDS = 1024
"""Words of each memory of the bench."""


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """An engine, by its routes, and the seed of what it copies."""

    routes: tuple[Route, ...]
    seed: int

    def engine(self) -> CopyEngine:
        """A new engine."""
        return CopyEngine(routes=self.routes)

    @property
    def widths(self) -> dict[str, int]:
        """Bits of a word of each memory."""
        return {end: each.width for each in self.routes for end in each[:2]}

    @property
    def depths(self) -> dict[str, int]:
        """Words of each memory."""
        return dict.fromkeys(self.widths, WORDS)
