"""Runs the benches of :mod:`sim.bench`, each at most once a process."""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path
from typing import Any

from hw.component import EmitOnce
from sim.bench.work import CONFIG, RESULT
from sim.harness.bench import EngineBench
from sim.harness.cosim import run

__all__ = ["CONFIG", "engine_of", "engine_runs"]

FOLDER = Path("build/bench")


def engine_of(name: str) -> EmitOnce:
    """The engine ``fp``, ``bp`` or ``wg`` of a core."""
    module = importlib.import_module(f"hw.{name}.engine")
    return getattr(module, f"{name.capitalize()}Engine").from_config(CONFIG)


@functools.cache
def engine_runs(name: str) -> dict[str, Any]:
    """What the bench of an engine measured, by name of the run; see :func:`sim.bench.work.measure`.

    The Verilator build is kept from one call to the next while the Verilog stays the same.
    """
    module = f"sim.bench.cocotb_{name}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    result = (FOLDER / f"{name}-runs.json").resolve()
    result.unlink(missing_ok=True)
    depths = importlib.import_module(module).DEPTHS
    run(EngineBench(engine_of(name), depths), module, environment={RESULT: str(result)})
    return json.loads(result.read_text(encoding="utf-8"))["runs"]
