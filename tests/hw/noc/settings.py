"""What a launched cocotb testbench of this folder works on, told through the environment."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from backspike.hw.noc.copy import CopyEngine, Route

WORDS = 1024
"""Words of each memory of the bench."""
VARIABLE = "BENCH_SETTINGS"


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

    def environment(self) -> dict[str, str]:
        """The settings for :func:`bench_settings`."""
        return {VARIABLE: json.dumps({"routes": self.routes, "seed": self.seed})}


def bench_settings() -> BenchSettings:
    """The settings that the test which launched this simulation made."""
    fields = json.loads(os.environ[VARIABLE])
    return BenchSettings(
        routes=tuple(Route(*each) for each in fields["routes"]), seed=fields["seed"]
    )
