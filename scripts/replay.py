"""Replays recorded training steps through the Verilated engines and compares every value."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from hw.config import ChipConfig
from sim.harness.cosim import build, run
from sim.model.network import Network, StepRecord
from sim.replay.job import Scene
from sim.replay.stages import STAGES

__all__ = ["REPLAYED", "Builder", "replay"]

REPLAYED = "replay.json"
"""File in the output folder: counts of every step, stage and layer."""

JOBS = 2
"""Simulations, and builds, side by side."""


@dataclass(frozen=True)
class StageResult:
    """What the replay of one stage of one step found."""

    step: str
    stage: str
    layers: dict[str, dict[str, int]]
    statuses: dict[str, bool]

    def total(self, what: str) -> int:
        """Sum over the layers."""
        return sum(layer[what] for layer in self.layers.values())


class Builder:
    """Builds the benches of all stages in processes of their own, while other work goes on."""

    def __init__(self, config: ChipConfig):
        self._pool = ThreadPoolExecutor(JOBS)
        self._config = config
        self._done = [self._pool.submit(self._build, name) for name in STAGES]

    def _build(self, name: str) -> None:
        _in_process("build", (name, self._config))

    def wait(self) -> None:
        """Returns when all are built; raises if one could not be."""
        for done in tqdm(self._done, desc="building the engines", unit="engine", disable=None):
            done.result()
        self._pool.shutdown()


def replay(
    config: ChipConfig, network: Network, records: dict[str, StepRecord], folder: Path
) -> bool:
    """Run recorded steps through the engines of a core of ``config``; True if no value differs.

    Prints a table of values compared, values that differ, and cycles with and without skipping;
    leaves it as :data:`REPLAYED` in ``folder``.
    """
    tasks = [
        (step, name, Scene(config=config, network=network, record=record))
        for step, record in records.items()
        for name in STAGES
    ]
    with ThreadPoolExecutor(JOBS) as pool:
        results = list(
            tqdm(
                pool.map(lambda task: _replay_stage(*task, folder=folder), tasks),
                desc="replaying through the RTL",
                total=len(tasks),
                unit="stage",
                disable=None,
            )
        )
    good = True
    print(
        f"{'step':>6} {'stage':>5} {'layer':>5} {'compared':>10} {'differ':>7} "
        f"{'cycles':>10} {'dense':>10}"
    )
    for result in results:
        for layer, counts in sorted(result.layers.items()):
            dense = counts["dense_cycles"] or "-"
            print(
                f"{result.step:>6} {result.stage:>5} {layer:>5} {counts['compared']:>10,} "
                f"{counts['differ']:>7,} {counts['cycles']:>10,} {dense:>10}"
            )
    for step, record in records.items():
        of_step = [result for result in results if result.step == step]
        for status in ("overflow", "invalid"):
            found = any(result.statuses[status] for result in of_step)
            if found != getattr(record.status, status):
                there = "the RTL" if found else "the model"
                print(f"the status {status} of the {step} step is set in {there} alone")
                good = False
    compared = sum(result.total("compared") for result in results)
    differ = sum(result.total("differ") for result in results)
    print(f"{compared:,} values compared, {differ:,} differ")
    rows = [
        {"step": result.step, "stage": result.stage, "layer": int(layer), **counts}
        for result in results
        for layer, counts in result.layers.items()
    ]
    (folder / REPLAYED).write_text(json.dumps(rows, indent=1))
    return good and compared > 0 and not differ


def _replay_stage(step: str, name: str, scene: Scene, *, folder: Path) -> StageResult:
    out = folder / f"replay-{step}-{name}.json"
    _in_process("replay", (name, scene, str(out.resolve())))
    found = json.loads(out.read_text())
    out.unlink()
    return StageResult(step, name, found["layers"], found["statuses"])


def _in_process(verb: str, task: Sequence[object]) -> None:
    """Runs this file in a process of its own: a simulation is told its task by the environment."""
    process = subprocess.run(
        [sys.executable, "-m", "scripts.replay", verb],
        input=pickle.dumps(task),
        capture_output=True,
    )
    if process.returncode:
        raise RuntimeError(f"the {verb} of {task[0]} failed: {process.stderr.decode()[-4000:]}")
    for line in process.stdout.decode().splitlines():
        if line.startswith("waves: "):
            print(line)


def _main(verb: str) -> None:
    task = pickle.load(sys.stdin.buffer)
    name = task[0]
    if verb == "build":
        build(STAGES[name].bench(task[1]))
        return
    path = Path(f"{task[2]}.task")
    path.write_bytes(pickle.dumps(task))
    os.environ["REPLAY_TASK"] = str(path)
    try:
        run(STAGES[name].bench(task[1].config), "sim.replay.cocotb_replay")
    finally:
        path.unlink()


if __name__ == "__main__":
    _main(sys.argv[1])
