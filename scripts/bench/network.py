"""What is measured of the network on chip: latency and throughput."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Plot

from backspike.hw.noc.route import Endpoint
from backspike.sim.harness.traffic.bench import TrafficBench
from backspike.sim.harness.traffic.packet import Pattern
from backspike.training.training import write_rows
from scripts.bench.engines import measured
from scripts.bench.figure import FOLDER, Figure
from scripts.bench.rtl.cocotb_noc import SETTINGS

__all__ = ["FIGURES", "hop_cycles", "link_share", "network_runs", "saturation"]

DEPTH = 16
"""Flits of each queue of a router."""
COLUMNS, ROWS = 8, 4
BOUND = 0.5
"""Flits that a core of 8 x 4 can send in a cycle to cores anywhere, by what crosses the middle."""
LENGTHS = (1, 4, 8, 16)
"""Flits of the packets whose saturation is measured; curves are of packets of 4."""
OFFERED = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0)
"""Flits that a core makes in a cycle; 2 is as many as its ports take."""
WARM_UP, CYCLES = 2000, 4000


@cache
def network_runs() -> list[dict[str, Any]]:
    """A row for each load: what was offered and accepted in flits a core and cycle, and latency.

    Besides, ``build/bench/noc.csv`` and ``noc.png`` become what was measured.
    """
    loads = [(pattern.name, 4, offered) for pattern in Pattern for offered in OFFERED]
    loads += [("UNIFORM", length, OFFERED[-1]) for length in LENGTHS if length != 4]
    loads.append(("COMPLEMENT", 1, 0.01))
    bench = TrafficBench(columns=COLUMNS, rows=ROWS, depth=DEPTH)
    settings = {
        "bench": bench.parameters,
        "loads": [
            {"pattern": pattern, "least": length, "rate": offered / 2}
            for pattern, length, offered in loads
        ],
        "warm_up": WARM_UP,
        "cycles": CYCLES,
    }
    rows = measured(bench, "noc", **{SETTINGS: json.dumps(settings)})
    _write(rows, FOLDER / "noc.csv")
    _plot(rows, FOLDER / "noc.png")
    return rows


def saturation() -> float:
    """Share of the bound that uniform traffic gets, with more offered; the worst length counts."""
    full = [
        row["accepted"]
        for row in network_runs()
        if row["pattern"] == "UNIFORM" and row["offered"] == OFFERED[-1]
    ]
    if len(full) != len(LENGTHS):
        raise ValueError(f"there must be {len(LENGTHS)} lengths, not {len(full)}")
    return min(full) / BOUND


def link_share() -> float:
    """Share of cycles in which a link moves a flit, where neighbours send as much as they can."""
    # Two cores that send to each other have a link each.
    return max(row["accepted"] for row in network_runs() if row["pattern"] == "NEIGHBOUR")


def hop_cycles() -> float:
    """Cycles that a router more takes, of flits that nothing is in the way of.

    The core opposite is at another distance for each core, and all flits to it go the same way.
    """
    (row,) = (row for row in network_runs() if row["least"] == 1 and row["pattern"] == "COMPLEMENT")
    hops = dict[int, list[int]]()
    for place, latency in row["least_latency"]:
        x, y, _ = Endpoint(*place)
        hops.setdefault(abs(COLUMNS - 1 - 2 * x) + abs(ROWS - 1 - 2 * y), []).append(latency)
    nearest, farthest = min(hops), max(hops)
    cycles = (min(hops[farthest]) - min(hops[nearest])) / (farthest - nearest)
    if cycles < 1:
        raise ValueError(f"a router must take a cycle at least, not {cycles}")
    return cycles


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    names = ("pattern", "flits", "offered", "accepted", "latency")
    lines = (
        [row["pattern"].lower(), row["least"], *(f"{row[name]:.4f}" for name in names[2:])]
        for row in rows
    )
    write_rows(path, names, lines)


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    figure = Plot(figsize=(11, 4.5), layout="constrained")
    latency, throughput = figure.subplots(1, 2)
    for pattern in Pattern:
        curve = [row for row in rows if row["pattern"] == pattern.name and row["least"] == 4]
        offered = [row["offered"] for row in curve]
        for axes, what in ((latency, "latency"), (throughput, "accepted")):
            values = [row[what] for row in curve]
            axes.plot(offered, values, marker=".", label=pattern.name.lower())
    latency.set(ylim=(0, 100), ylabel="mean latency, made to arrived, cycles")
    throughput.set(ylabel="accepted, flits per core and cycle")
    throughput.axhline(BOUND, color="0.6", linestyle=":", label="bound of uniform")
    for axes in (latency, throughput):
        axes.set(xlabel="offered, flits per core and cycle", xlim=(0, 1.5))
    throughput.legend()
    figure.suptitle(f"{COLUMNS} x {ROWS} cores, packets of 4 flits, queues of {DEPTH}")
    figure.savefig(path, dpi=120)


FIGURES = (
    Figure(
        name="noc_hop_cycles",
        what="zero-load latency of a router more, in its clock",
        unit="cycles",
        measure=hop_cycles,
        at_most=2,
    ),
    Figure(
        name="noc_saturation",
        what="8x4, uniform, of 0.5 flits/core/cycle; packets of 1 to 16 flits, the worst",
        unit="%",
        measure=lambda: 100 * saturation(),
        at_least=60,
    ),
    Figure(
        name="noc_neighbour",
        what="8x4, share of a link that neighbours get who send to each other",
        unit="%",
        measure=lambda: 100 * link_share(),
        at_least=95,
    ),
)
