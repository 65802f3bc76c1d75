"""Runs the cocotb benches on Verilator, and sums up what passed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from backspike.cli import Parser, guarded

__all__ = ["BENCHES", "main"]

PROGRAM = "scripts.sim"
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
    "train": "tests/backspike/training/test_training.py",
    "block": "tests/sim/harness/test_block.py",
    "waves": "tests/sim/harness/test_waves.py",
}
"""The files whose tests run a cocotb bench, by what they exercise."""
ROOT = Path(__file__).parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if all passed, 1 if one failed, 2 with one sentence for bad input."""
    parser = Parser(prog=PROGRAM, description=__doc__)
    parser.add_argument(
        "bench", nargs="*", help=f"which benches: {', '.join(BENCHES)} (default: all)"
    )
    parser.add_argument(
        "--waves", action="store_true", help="leave an FST file of each, for GTKWave or Surfer"
    )
    args = parser.parse_args(argv)
    return guarded(PROGRAM, lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    for name in args.bench:
        if name not in BENCHES:
            print(
                f"{PROGRAM}: a bench must be one of {', '.join(BENCHES)}, not {name!r}",
                file=sys.stderr,
            )
            return 2
    files = [BENCHES[name] for name in args.bench or BENCHES]
    environment = {**os.environ, "WAVES": "1"} if args.waves else None
    # Two at a time with a line for each; what they print (seeds, waves) stands in the summary.
    command = [sys.executable, "-m", "pytest", "-n", "auto", "-rA", "--durations=0"]
    command += ["-m", "not slow", *files]
    return min(1, subprocess.run(command, cwd=ROOT, env=environment).returncode)


if __name__ == "__main__":
    sys.exit(main())
