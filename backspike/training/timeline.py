"""What worked when in a training step on the core, and how close it came to what must be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backspike.sim.harness.session import CoreRun

__all__ = ["cycles_over_busy", "plot_timeline"]

PHASES = {
    "forward": ("fp_fp", "fp_soma"),
    "backward": ("bp_bp", "bp_wg", "bp_grad"),
    "update": ("bp_wu",),
}
"""The engines that compute in each phase of a step: none works in two of them."""
ENGINES = tuple(name for names in PHASES.values() for name in names)
MOVERS = ("fp_read", "fp_write", "fp_noc", "bp_read", "bp_write", "bp_noc")
"""Units that bring data."""
ZOOM = 0.05
"""Share of the step that the lower half of the timeline shows."""


def cycles_over_busy(run: CoreRun) -> float:
    """Cycles of a step over those it could not do without.

    Those are, summed over the phases, the cycles in which an operand enters the busiest engine, and
    the cycles in which only DMA and copies are at work.
    """
    busiest = sum(
        max(run.counters[engine]["busy"] for engine in engines) for engines in PHASES.values()
    )
    computing, moving = (
        np.zeros(run.cycles, bool),
        np.zeros(run.cycles, bool),
    )
    for names, at_work in ((ENGINES, computing), (MOVERS, moving)):
        for name in names:
            for first, end in run.activity[name]:
                at_work[first:end] = True
    return run.cycles / (busiest + int((moving & ~computing).sum()))


def plot_timeline(run: CoreRun, path: Path, *, title: str) -> None:
    """When each unit was at work: over the whole step, and in a part of it in full."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    whole, part = figure.subplots(2)
    units = [name for name in (*ENGINES, *MOVERS) if len(run.activity[name])]
    # Where the backward phase is in full swing.
    middle = float(np.median(np.concatenate([run.activity[name] for name in PHASES["backward"]])))
    span = (middle - ZOOM / 2 * run.cycles, middle + ZOOM / 2 * run.cycles)
    for axes, limits in ((whole, (0, run.cycles)), (part, span)):
        _bars(axes, run, units, limits)
    whole.axvspan(*span, color="0.9", zorder=0)
    whole.set_title(f"{title}: {run.cycles:,} cycles")
    part.set_xlabel("cycle")
    figure.savefig(path, dpi=120)


def _bars(axes: Axes, run: CoreRun, units: Sequence[str], limits: tuple[float, float]) -> None:
    for place, unit in enumerate(units):
        spans = [(first, end - first) for first, end in run.activity[unit]]
        colour = "tab:gray" if unit in MOVERS else f"C{ENGINES.index(unit)}"
        axes.broken_barh(spans, (place - 0.4, 0.8), facecolors=colour)
    labels = [
        f"{unit.replace('_', ' ').upper()}  {run.counters[unit]['busy'] / run.cycles:.0%}"
        for unit in units
    ]
    axes.set(yticks=range(len(units)), yticklabels=labels, xlim=limits)
    axes.invert_yaxis()
