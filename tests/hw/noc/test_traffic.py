"""Without these, the network could lose, double or misplace flits under traffic of many kinds."""

from __future__ import annotations

import pytest

from backspike.sim.harness.cosim import run
from backspike.sim.harness.traffic.bench import TrafficBench
from tests.hw.launch import environment

CLOCKS = {
    "500:667": (2000, 1499),
    "150:200": (4000, 3000),
    "1:1": (2000, 2000),
    # The golden ratio, as near as a millionth.
    "irrational": (1618034, 1000000),
}
"""Picoseconds of the clocks of cores and network, by their rates."""


def run_traffic(test: str, bench: TrafficBench, **settings) -> None:
    """Runs one test of ``cocotb_traffic`` on a bench, with settings for it."""
    settings |= {"bench": bench.parameters}
    print(settings)
    run(
        bench,
        "tests.hw.noc.cocotb_traffic",
        environment=environment(settings),
        tests=test,
    )


@pytest.mark.parametrize("clocks", CLOCKS)
def test_small_mesh(clocks):
    bench = TrafficBench(columns=2, rows=2, depth=4, crossing=8)
    run_traffic("nothing_is_lost", bench, periods=CLOCKS[clocks], cycles=500, flits=20_000)


@pytest.mark.parametrize(
    ("fault", "spread", "expected"),
    [
        ("CORRUPT", 3, "corrupted"),
        ("CUT", 3, "of_wrong_length"),
        ("DROP", 3, "out_of_order"),
        ("MISROUTE", 3, "misrouted"),
        ("DOUBLE", 3, "corrupted"),
        ("DOUBLE", 0, "out_of_order"),
    ],
)
def test_what_goes_wrong_is_found(fault, spread, expected):
    bench = TrafficBench(columns=2, rows=2, depth=4, crossing=8)
    run_traffic(
        "what_goes_wrong_is_found",
        bench,
        periods=(1000, 1000),
        fault=fault,
        spread=spread,
        expected=expected,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "rows", "clocks"),
    [(size, 4, clocks) for size in (4, 8) for clocks in CLOCKS],
)
def test_large_meshes(columns, rows, clocks):
    bench = TrafficBench(columns=columns, rows=rows, depth=16, crossing=8)
    run_traffic("nothing_is_lost", bench, periods=CLOCKS[clocks], cycles=3000, flits=300_000)
