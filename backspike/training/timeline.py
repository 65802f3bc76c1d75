"""What worked when in a training step on a device, and how close it came to what must be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backspike.device.device import Timing, UnitCounters
from backspike.hw.core.connection import Place
from backspike.hw.isa.units import UNIT_TABLE, unit_title

__all__ = ["cycles_over_busy", "plot_timeline"]


def _units(subcore: str, **fields: bool) -> tuple[str, ...]:
    """Units of a sub-core whose rows in the table have such fields, as counters name them."""
    return tuple(
        f"{subcore}_{name}"
        for name, unit in UNIT_TABLE[subcore].items()
        if all(getattr(unit, field) == value for field, value in fields.items())
    )


PHASES = {
    "forward": _units("fp", computes=True),
    "backward": _units("bp", computes=True, inhibited=False),
    "update": _units("bp", computes=True, inhibited=True),
}
"""The engines that compute in each phase of a step: none works in two of them."""
ENGINES = tuple(name for names in PHASES.values() for name in names)
MOVERS = tuple(name for subcore in UNIT_TABLE for name in _units(subcore, computes=False))
"""Units that bring data."""
ZOOM = 0.05
"""Share of the step that the lower half of the timeline shows."""


def cycles_over_busy(timing: Timing, counters: UnitCounters) -> float:
    """Cycles of a step over those it could not do without.

    Those are, summed over the phases, the cycles in which an operand enters the busiest engine of
    all cores, and the cycles in which only DMA and copies are at work.
    """
    busiest = sum(
        max(counts[engine]["busy"] for counts in counters.values() for engine in engines)
        for engines in PHASES.values()
    )
    computing, moving = np.zeros(timing.cycles, bool), np.zeros(timing.cycles, bool)
    for names, at_work in ((ENGINES, computing), (MOVERS, moving)):
        for activity in timing.activity.values():
            for name in names:
                for first, end in activity[name]:
                    at_work[first:end] = True
    return timing.cycles / (busiest + int((moving & ~computing).sum()))


def plot_timeline(timing: Timing, counters: UnitCounters, path: Path, *, title: str) -> None:
    """When each unit was at work: over the whole step, and in a part of it in full."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    whole, part = figure.subplots(2)
    units = [
        (place, name)
        for place, activity in timing.activity.items()
        for name in (*ENGINES, *MOVERS)
        if len(activity[name])
    ]
    # Where the backward phase is in full swing.
    backward = [timing.activity[place][name] for place, name in units if name in PHASES["backward"]]
    middle = float(np.median(np.concatenate(backward)))
    span = (middle - ZOOM / 2 * timing.cycles, middle + ZOOM / 2 * timing.cycles)
    for axes, limits in ((whole, (0, timing.cycles)), (part, span)):
        _bars(axes, timing, counters, units, limits)
    whole.axvspan(*span, color="0.9", zorder=0)
    whole.set_title(f"{title}: {timing.cycles:,} cycles")
    part.set_xlabel("cycle")
    figure.savefig(path, dpi=120)


def _bars(
    axes: Axes,
    timing: Timing,
    counters: UnitCounters,
    units: Sequence[tuple[Place, str]],
    limits: tuple[float, float],
) -> None:
    labels = []
    for line, (place, unit) in enumerate(units):
        spans = [(first, end - first) for first, end in timing.activity[place][unit]]
        colour = "tab:gray" if unit in MOVERS else f"C{ENGINES.index(unit)}"
        axes.broken_barh(spans, (line - 0.4, 0.8), facecolors=colour)
        core = f"{place} " if len(timing.activity) > 1 else ""
        share = counters[place][unit]["busy"] / timing.cycles
        labels.append(f"{core}{unit_title(unit)}  {share:.0%}")
    axes.set(yticks=range(len(units)), yticklabels=labels, xlim=limits)
    axes.invert_yaxis()
