"""Drives a bench of cells, and writes down what it sees."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from backspike.sim.harness.driver import backdoor
from tests.sim.harness.cells import DEPTH, WIDTH

CYCLES, AGAIN = 400, 200
"""Cycles in all, and the one in which there is another reset."""
SEED = 7301


@cocotb.test()
async def trace(dut):
    random = np.random.default_rng(SEED)
    cells = int(os.environ["CELLS"])
    # Memories are to be had at once; what is in them counts when they have been set to zero.
    memories = [backdoor(f"bench.cell_{n}.sram_table", DEPTH, WIDTH) for n in range(cells)]
    await Timer(1, unit="ns")
    for memory in memories:
        memory[:, : WIDTH // 8] = random.integers(256, size=(DEPTH, WIDTH // 8))
    filled = np.stack(memories)
    names = [f"{name}_{n}" for n in range(cells) for name in ("early", "late", "count")]
    dut.drive.value = 0
    dut.rst.value = 1
    Clock(dut.clk, 4, unit="ns", impl="gpi").start()
    # Edges of both clocks come at the same time, close to each other, and alone.
    Clock(dut.noc_clk, 6, unit="ns", impl="gpi").start()
    seen = []
    for cycle in range(CYCLES):
        await FallingEdge(dut.clk)
        dut.rst.value = int(cycle < 3 or AGAIN <= cycle < AGAIN + 2)
        if cycle % 3 == 0:
            dut.drive.value = int.from_bytes(random.bytes(9), "little") >> 2
        await Timer(1, unit="ns")
        seen.append([int(getattr(dut, name).value) for name in names])
        if cycle == AGAIN:
            memories[-1][3, 0] ^= 0xFF
    left = np.stack(memories)
    Path(os.environ["TRACE"]).write_bytes(pickle.dumps((names, seen, filled, left)))
