"""What training steps in RTL have shown: tables, a file, and a picture of what worked when."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from backspike.files import write_whole
from backspike.hw.core.connection import Place
from backspike.hw.isa.units import unit_title
from backspike.training.timeline import plot_timeline
from backspike.training.trainer import Speed, TrainedStep, Trainer

__all__ = ["CORE_STEPS", "TIMELINE", "report_steps"]

CORE_STEPS = "core.json"
"""File in the output folder: counts of every step that ran in RTL."""
TIMELINE = "timeline.png"


def report_steps(trainer: Trainer, folder: Path) -> bool:
    """Prints what was compared and the cycles of each engine; True if no value differs.

    Leaves the counts in :data:`CORE_STEPS`, and a picture of the last step in :data:`TIMELINE`.
    """
    steps, last = trainer.steps, trainer.steps[-1]
    names = list(last.compared)
    print("values compared with the model, in RTL")
    print("  ".join(["  step", *(f"{name:>12}" for name in names), "     differ"]))
    for step in steps:
        counts = "  ".join(f"{step.compared[name]:>12,}" for name in names)
        print(f"{step.number + 1:>6}  {counts}  {sum(step.differ.values()):>11,}")
    for step in steps[-3:]:
        if step.speed is not None:
            _print_engines(step, step.speed)
    compared = sum(sum(step.compared.values()) for step in steps)
    differ = sum(sum(step.differ.values()) for step in steps)
    rows = [_row(step) for step in steps]
    write_whole(folder / CORE_STEPS, json.dumps(rows, indent=1) + "\n")
    if trainer.timing is not None:
        title = f"training step {last.number + 1}"
        plot_timeline(trainer.timing, last.counters, folder / TIMELINE, title=title)
    print(f"{compared:,} values compared, {differ:,} differ; see {folder / TIMELINE}")
    return compared > 0 and not differ


def _row(step: TrainedStep) -> dict[str, Any]:
    """As plain values, cores by column and row."""
    return {
        **dataclasses.asdict(step),
        "counters": {_name(place): counts for place, counts in step.counters.items()},
    }


def _name(place: Place) -> str:
    column, row = place
    return f"{column},{row}"


def _print_engines(step: TrainedStep, speed: Speed) -> None:
    print(
        f"step {step.number + 1}: {speed.cycles:,} cycles, {speed.cycles_over_busy:.2f} times the "
        f"least; {speed.cycles / speed.seconds / 1000:.1f} kHz"
    )
    print(f"{'unit':>10} {'busy':>10} {'stalled':>10} {'idle':>10}  utilisation")
    for place, units in step.counters.items():
        if len(step.counters) > 1:
            print(f"core {_name(place)}")
        for unit, counts in units.items():
            # Not the counter of that name, which also counts before and after the programs.
            idle = speed.cycles - counts["busy"] - counts["stalled"]
            print(
                f"{unit_title(unit):>10} {counts['busy']:>10,} "
                f"{counts['stalled']:>10,} {idle:>10,}  {counts['busy'] / speed.cycles:>10.1%}"
            )
