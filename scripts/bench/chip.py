"""What is measured on a chip of 2 x 2 cores, Verilated, that train a network as a pipeline."""

from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib.figure import Figure as Plot
from numpy.typing import NDArray

from backspike.hw.isa.instruction import Fault
from backspike.hw.presets import load
from backspike.sim.harness.chip import ChipBench
from backspike.sim.harness.session import Request, Run, Session
from backspike.sim.model.network import train_step
from backspike.training.trainer import compare
from backspike.training.training import write_rows
from scripts.bench.engines import ARRAYS
from scripts.bench.figure import FOLDER, Figure
from scripts.bench.pipeline import DenseBatch, least_cycles, pipeline_cycles, utilisation

__all__ = ["FIGURES", "dense_run"]

CONFIG = load("vcu128")
"""2 x 2 cores; those of ``paper``, but for the size of bp.dw."""
WINDOWS = 200
"""Parts of a batch whose utilisation is told apart."""


@cache
def dense_run() -> tuple[DenseBatch, Run]:
    """A batch of the dense network in RTL."""
    batch = DenseBatch(config=CONFIG)
    drams = batch.drams()
    with Session(ChipBench(CONFIG, dram_bytes=batch.plan.dram_bytes)) as session:
        run = session.run(
            Request(
                drams=drams,
                programs=batch.plan.addresses,
                connections=batch.plan.connections,
            )
        )
    faults = {each.fault for core in run.outcomes.values() for each in core.values()}
    if faults != {Fault.NONE}:
        raise RuntimeError(f"programs of the dense batch must end well, not with {faults}")
    _plot(run)
    return batch, run


def batch_cycles_over_least() -> float:
    """Eq. 9 of the paper is 1: cycles up to the update over those it could not do without."""
    batch, run = dense_run()
    return pipeline_cycles(run.activity) / least_cycles(run.counters, batch.samples)


def batch_update_cycles() -> float:
    """Cycles from the first update on."""
    _, run = dense_run()
    return run.cycles - pipeline_cycles(run.activity)


def batch_utilisation() -> float:
    """Eq. 10 of the paper, of the batch up to its update."""
    _, run = dense_run()
    return utilisation(run.counters, pipeline_cycles(run.activity))


def batch_values_differ() -> float:
    """Values that the batch leaves, and that are not those of the model."""
    batch, run = dense_run()
    record = train_step(
        batch.network,
        batch.x,
        batch.targets,
        batch.weights(),
        batch.rule,
        loss_scale=batch.loss_scale,
    )
    _, differ = compare(batch.plan.read(run.drams), record)
    return sum(differ.values())


def chip_khz() -> float:
    """Simulated clock of the cores."""
    _, run = dense_run()
    return run.cycles / run.seconds / 1000


def _plot(run: Run) -> None:
    """Share of the arrays of all cores that were at work, over time; also as CSV."""
    edges = np.linspace(0, run.cycles, WINDOWS + 1)
    shares = {
        name: sum(_share(core[unit], edges) for core in run.activity.values()) / len(run.activity)
        for name, unit in ARRAYS.items()
    }
    rows = zip(edges[:-1].astype(int), *shares.values(), strict=True)
    write_rows(FOLDER / "utilisation.csv", ["cycle", *shares], rows)
    figure = Plot(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    for name, share in shares.items():
        axes.plot(edges[:-1], 100 * share, label=name.upper())
    axes.axvline(pipeline_cycles(run.activity), color="0.6", linestyle=":", label="update")
    axes.set(xlabel="cycle", ylabel="% of the arrays of 2 x 2 cores at work", ylim=(0, 105))
    axes.legend(loc="lower right", ncols=4)
    figure.savefig(FOLDER / "utilisation.png", dpi=120)


def _share(spans: NDArray[np.int64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each window, the share that lies within spans."""
    # Cycles at work up to each edge: linear between the ends of spans.
    ends = np.concatenate([[0], spans.reshape(-1)])
    worked = np.concatenate([[0], np.repeat((spans[:, 1] - spans[:, 0]).cumsum(), 2)])
    worked[1::2] -= spans[:, 1] - spans[:, 0]
    return np.diff(np.interp(edges, ends, worked)) / np.diff(edges)


FIGURES = (
    Figure(
        name="batch_cycles_over_least",
        what="2x2 cores, dense batch up to its update, cycles / (FP of a sample + max(BP, WG))",
        unit="x",
        measure=batch_cycles_over_least,
        at_most=1.10,
    ),
    Figure(
        name="batch_update_cycles",
        what="its update, with new weights for both sub-cores that hold them",
        unit="cycles",
        measure=batch_update_cycles,
    ),
    Figure(
        name="batch_utilisation",
        what="that batch up to its update, cycles of all arrays in which an operand enters",
        unit="%",
        measure=lambda: 100 * batch_utilisation(),
        at_least=60,
    ),
    Figure(
        name="batch_values_differ",
        what="values that differ between RTL and model in that batch",
        unit="values",
        measure=batch_values_differ,
        at_most=0,
    ),
    Figure(
        name="chip_speed",
        what="Verilated chip of 2x2 cores under cocotb, one thread, that batch",
        unit="kHz",
        measure=chip_khz,
        at_least=5,
    ),
)
