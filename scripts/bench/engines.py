"""What is measured on the engines FP, BP and WG alone, Verilated: cycles, psums and speed.

The benches of :mod:`scripts.bench.rtl` run each at most once a process.
"""

from __future__ import annotations

import functools
import importlib
import json
from functools import partial
from typing import Any

from backspike.hw.component import EmitOnce
from backspike.sim.harness.bench import EngineBench
from backspike.sim.harness.cosim import run
from scripts.bench.figure import FOLDER, Figure
from scripts.bench.rtl.work import CONFIG, RESULT

__all__ = ["ARRAYS", "CONFIG", "FIGURES", "engine_of", "engine_runs", "measured"]

ARRAYS = {"fp": "fp_fp", "bp": "bp_bp", "wg": "bp_wg"}
"""The engines, and what the counters of each are called in a core."""
CONV, FC = "3x3 64->64 32x32 dense", "FC 512->512, 4 steps of 8 samples"
"""The layers; see :mod:`scripts.bench.rtl.work`."""


def engine_of(name: str) -> EmitOnce:
    """The engine ``fp``, ``bp`` or ``wg`` of a core."""
    module = importlib.import_module(f"backspike.hw.{name}.engine")
    return getattr(module, f"{name.capitalize()}Engine").from_config(CONFIG)


@functools.cache
def engine_runs(name: str) -> dict[str, Any]:
    """What the bench of an engine measured, by name of the run; see
    :func:`scripts.bench.rtl.work.measure`.

    The Verilator build is kept from one call to the next while the Verilog stays the same.
    """
    depths = importlib.import_module(f"scripts.bench.rtl.cocotb_{name}").DEPTHS
    return measured(EngineBench(engine_of(name), depths), name)["runs"]


def measured(bench: EmitOnce, name: str, **settings: str) -> Any:
    """What the testbench ``cocotb_<name>`` has written of a bench, by ``settings``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    result = FOLDER / f"{name}-runs.json"
    result.unlink(missing_ok=True)
    run(bench, f"scripts.bench.rtl.cocotb_{name}", environment={RESULT: str(result), **settings})
    return json.loads(result.read_text(encoding="utf-8"))


def _busy_percent(engine: str, run: str) -> float:
    found = engine_runs(engine)[run]
    return 100 * found["counters"]["busy"] / found["cycles"]


def _speed(engine: str) -> float:
    return engine_runs(engine)["dense"]["hertz"] / 1000


def _speedup(percent: int) -> float:
    runs = engine_runs("fp")
    return runs["dense"]["cycles"] / runs[f"sparse_{percent}"]["cycles"]


def _over(engine: str, percent: int, ideal: str) -> float:
    run = engine_runs(engine)[f"sparse_{percent}"]
    return run["cycles"] / run[ideal]


def _psum_accesses(port: str) -> float:
    run = engine_runs("fp")["dense"]
    return run["counters"][port] / run["tile_visits"]


FIGURES = (
    *(
        Figure(
            name=f"{engine}_{name}",
            what=f"{engine.upper()}, cycles in which an operand enters, {what}",
            unit="%",
            measure=partial(_busy_percent, engine, run),
            at_least=target,
        )
        for engine, name, what, run, target in (
            ("fp", "busy_share", CONV, "dense", 95),
            ("bp", "busy_share", CONV, "dense", 95),
            ("wg", "busy_share", CONV, "dense", 90),
            ("fp", "fc_busy_share", FC, "fc", 60),
            ("bp", "fc_busy_share", FC, "fc", 60),
        )
    ),
    *(
        Figure(
            name=f"fp_speedup_{percent}",
            what=f"FP, dense cycles / cycles at {percent} % random sparsity",
            unit="x",
            measure=partial(_speedup, percent),
            at_least=target,
        )
        for percent, target in ((80, 2.0), (90, 3.0), (95, 4.4))
    ),
    *(
        Figure(
            name=f"{engine}_cycles_over_{ideal}_{percent}",
            what=f"{engine.upper()}, cycles / {kind} at {percent} % random sparsity",
            unit="x",
            measure=partial(_over, engine, percent, ideal),
            at_most=1.05,
        )
        for engine, ideal, kind, percents in (
            ("fp", "needed", "cycles needed", (80, 90, 95)),
            ("wg", "vectors", "non-zero vectors", (90, 95, 98)),
        )
        for percent in percents
    ),
    *(
        Figure(
            name=f"fp_psum_{access}",
            what=f"FP, psum SRAM {access} per pixel, tile pair and kernel position, {CONV}",
            unit="per tile visit",
            measure=partial(_psum_accesses, f"conv_{access}"),
            at_most=1 / 9,
        )
        for access in ("reads", "writes")
    ),
    *(
        Figure(
            name=f"sim_speed_{engine}",
            what=f"Verilated {engine.upper()} engine, one thread, {CONV}",
            unit="kHz",
            measure=partial(_speed, engine),
            at_least=100,
        )
        for engine in ARRAYS
    ),
    Figure(
        name="bits_differ",
        what="bits that differ between RTL and model in all of these runs",
        unit="bits",
        measure=lambda: sum(
            run["bits_differ"] for engine in ARRAYS for run in engine_runs(engine).values()
        ),
        at_most=0,
    ),
)
