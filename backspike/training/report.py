"""What training steps on the core have shown: tables, a file, and a picture of what worked when."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from backspike.sim.harness.session import CoreRun
from backspike.training.checkpoint import write_whole
from backspike.training.core import CoreStep
from backspike.training.timeline import plot_timeline

__all__ = ["CORE_STEPS", "TIMELINE", "report_steps"]

CORE_STEPS = "core.json"
"""File in the output folder: counts of every step that ran on the core."""
TIMELINE = "timeline.png"


def report_steps(steps: Sequence[CoreStep], last: CoreRun, folder: Path) -> bool:
    """Prints what was compared and the cycles of each engine; True if no value differs.

    Leaves the counts in :data:`CORE_STEPS` and a picture of ``last`` in :data:`TIMELINE`.
    """
    names = list(steps[0].compared)
    print("values compared with the model, in RTL")
    print("  ".join(["  step", *(f"{name:>12}" for name in names), "     differ"]))
    for step in steps:
        counts = "  ".join(f"{step.compared[name]:>12,}" for name in names)
        print(f"{step.number + 1:>6}  {counts}  {sum(step.differ.values()):>11,}")
    for step in steps[-3:]:
        _print_engines(step)
    compared = sum(sum(step.compared.values()) for step in steps)
    differ = sum(sum(step.differ.values()) for step in steps)
    rows = [dataclasses.asdict(step) for step in steps]
    write_whole(folder / CORE_STEPS, (json.dumps(rows, indent=1) + "\n").encode())
    plot_timeline(last, folder / TIMELINE, title=f"training step {steps[-1].number + 1}")
    print(f"{compared:,} values compared, {differ:,} differ; see {folder / TIMELINE}")
    return compared > 0 and not differ


def _print_engines(step: CoreStep) -> None:
    print(
        f"step {step.number + 1}: {step.cycles:,} cycles, {step.cycles_over_busy:.2f} times the "
        f"least; {step.cycles / step.seconds / 1000:.1f} kHz"
    )
    print(f"{'unit':>10} {'busy':>10} {'stalled':>10} {'idle':>10}  utilisation")
    for unit, counts in step.counters.items():
        # Not the counter of that name, which also counts before and after the programs.
        idle = step.cycles - counts["busy"] - counts["stalled"]
        print(
            f"{unit.replace('_', ' ').upper():>10} {counts['busy']:>10,} {counts['stalled']:>10,} "
            f"{idle:>10,}  {counts['busy'] / step.cycles:>10.1%}"
        )
