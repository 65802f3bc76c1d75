"""What is measured of ``make verilog CONFIG=paper``, a chip of 8 x 4 cores."""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path

from backspike.sim.harness.tools import call_tool
from scripts.bench.figure import Figure

__all__ = ["FIGURES"]

CONFIG = "paper"


@cache
def _emitted() -> tuple[float, int]:
    """Seconds from the start of the command to its end, and bytes of Verilog that it writes."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        call_tool("backspike", "verilog", CONFIG, "--out", folder, folder=Path(folder))
        seconds = time.perf_counter() - began
        return seconds, sum(file.stat().st_size for file in Path(folder).rglob("*.v"))


FIGURES = (
    Figure(
        name="verilog_seconds",
        what=f"`make verilog CONFIG={CONFIG}`, a chip of 8x4 cores",
        unit="s",
        measure=lambda: _emitted()[0],
        at_most=90,
    ),
    Figure(
        name="verilog_megabytes",
        what="the Verilog of that chip, without its manifest",
        unit="MB",
        measure=lambda: _emitted()[1] / 1e6,
        at_most=20,
    ),
)
