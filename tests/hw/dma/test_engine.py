"""DMA as Verilog: without these a word could be lost, doubled or put in the wrong place."""

from __future__ import annotations

import pytest

from backspike.hw.dma.read import DmaRead
from backspike.hw.dma.write import DmaWrite
from backspike.sim.harness.cosim import run
from tests.hw.dma.bench import DmaBench
from tests.hw.launch import environment

SIZES = {
    "memories": (("m", 64, 4),),
    "bus_bits": 64,
    "burst_beats": 16,
    "outstanding": 4,
}


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
    run(bench, "tests.hw.dma.cocotb_dma", environment=environment(settings))


@pytest.mark.parametrize("engine", [DmaRead, DmaWrite])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bus_bits": 48}, "bus_bits must be a power of two, not 48"),
        ({"bus_bits": 2048}, "bus_bits must be a whole number from 8 to 1024, not 2048"),
        ({"burst_beats": 12}, "burst_beats must be a power of two, not 12"),
        ({"burst_beats": 512}, "burst_beats must be a whole number from 1 to 256, not 512"),
        (
            {"bus_bits": 1024, "burst_beats": 64},
            "burst_beats must be a whole number from 1 to 32, not 64",
        ),
        ({"outstanding": 0}, "outstanding must be a whole number of at least 1, not 0"),
        ({"memories": ()}, "number of memories must be a whole number from 1 to 16, not 0"),
        ({"memories": (("s", 48, 4),)}, "width of s must be a power of two, not 48"),
        ({"memories": (("s", 4, 4),)}, "width of s must be a whole number of at least 8, not 4"),
    ],
)
def test_refuses(engine, change, message):
    with pytest.raises(ValueError, match=message):
        engine(**{**SIZES, **change})
