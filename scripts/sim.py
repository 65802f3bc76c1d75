"""Runs the cocotb benches of engines and core on Verilator, and sums up what passed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["add_arguments", "run"]

BENCHES = {
    "fp": "tests/hw/fp/test_engine.py",
    "bp": "tests/hw/bp/test_engine.py",
    "wg": "tests/hw/wg/test_engine.py",
    "neuron": "tests/hw/neuron/test_engines.py",
    "dma": "tests/hw/dma/test_engine.py",
    "copy": "tests/hw/noc/test_copy.py",
    "noc": "tests/hw/noc/test_traffic.py",
    "core": "tests/hw/core/test_core.py",
    "step": "tests/hw/core/test_step.py",
    "chip": "tests/hw/chip/test_chip.py",
    "mesh": "tests/hw/chip/test_training.py",
    "train": "tests/scripts/test_train.py",
    "block": "tests/sim/harness/test_block.py",
    "waves": "tests/sim/harness/test_waves.py",
}
"""The files whose tests run a cocotb bench, by what they exercise."""
ROOT = Path(__file__).parent.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``backspike sim``."""
    parser.add_argument(
        "bench", nargs="*", help=f"which benches: {', '.join(BENCHES)} (default: all)"
    )
    parser.add_argument(
        "--waves", action="store_true", help="leave an FST file of each, for GTKWave or Surfer"
    )


def run(args: argparse.Namespace) -> int:
    """``backspike sim``: 0 if all passed, 1 if one failed, 2 with one sentence for bad input."""
    for name in args.bench:
        if name not in BENCHES:
            print(
                f"backspike sim: a bench must be one of {', '.join(BENCHES)}, not {name!r}",
                file=sys.stderr,
            )
            return 2
    files = [BENCHES[name] for name in args.bench or BENCHES]
    environment = {**os.environ, "WAVES": "1"} if args.waves else None
    # Two at a time with a line for each; what they print (seeds, waves) stands in the summary.
    command = [sys.executable, "-m", "pytest", "-n", "auto", "-rA", "--durations=0"]
    command += ["-m", "not slow", *files]
    return min(1, subprocess.run(command, cwd=ROOT, env=environment).returncode)
