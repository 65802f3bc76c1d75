"""DMA as Verilog: without these a word could be lost, doubled or put in the wrong place."""

from __future__ import annotations

import json

import pytest

from backspike.sim.harness.cosim import run
from tests.hw.dma.bench import DmaBench


@pytest.mark.parametrize(
    ("bus_bits", "widths", "burst_beats", "outstanding", "cases", "axi_cases", "seed"),
    [
        (32, (16, 32, 256, 1024), 16, 4, 120, 20, 1),
        # Bursts as long as AXI has them: a page at most.
        (64, (8, 16, 64, 128, 512), 256, 4, 120, 20, 2),
        (256, (16, 64, 256, 512, 1024), 16, 4, 120, 20, 3),
        (1024, (16, 256, 512, 1024), 8, 5, 120, 20, 4),
        # One beat after the other: no figures of throughput.
        (32, (32, 64), 1, 1, 100, 10, 5),
    ],
)
def test_copies(bus_bits, widths, burst_beats, outstanding, cases, axi_cases, seed):
    settings = {
        "bus_bits": bus_bits,
        "widths": widths,
        "burst_beats": burst_beats,
        "outstanding": outstanding,
        "cases": cases,
        "axi_cases": axi_cases,
        "seed": seed,
    }
    print(settings)
    bench = DmaBench(
        widths=widths, bus_bits=bus_bits, burst_beats=burst_beats, outstanding=outstanding
    )
    run(bench, "tests.hw.dma.cocotb_dma", environment={"BENCH_SETTINGS": json.dumps(settings)})
