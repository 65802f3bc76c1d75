"""What a launched traffic bench works on, told through the environment."""

from __future__ import annotations

import json

from sim.harness.cosim import run
from sim.harness.traffic.bench import TrafficBench

__all__ = ["VARIABLE", "WRONG", "run_traffic"]

VARIABLE = "TRAFFIC_SETTINGS"
WRONG = ("misrouted", "out_of_order", "corrupted", "of_wrong_length")
"""Results that must not be."""


def run_traffic(test: str, bench: TrafficBench, **settings) -> None:
    """Runs one test of ``cocotb_traffic`` on a bench, with settings for it."""
    settings |= {"bench": bench.parameters}
    print(settings)
    run(
        bench,
        "tests.hw.noc.cocotb_traffic",
        environment={VARIABLE: json.dumps(settings)},
        tests=test,
    )
