"""Runs an arithmetic unit in Amaranth's simulator, back to back at its stated latency."""

from __future__ import annotations

import numpy as np
from amaranth.sim import Simulator

from backspike.hw.arith.format import Float
from backspike.sim.harness.stream import StreamUnit
from tests.hw.arith.reference import Reference, unlike

BINARY16, BINARY32 = Float(5, 10), Float(8, 23)
EIGHT_BIT = (Float(5, 2), Float(4, 3))
NARROW = (Float(2, 1), Float(2, 5))
"""Formats in which the exponent is the shorter of the things that limit a shift."""
FEW = 300
"""Operands for Amaranth's simulator, which takes a millisecond for each."""


def reference(format: Float) -> Reference:
    """The reference for a format."""
    return Reference(format.exponent, format.mantissa)


def simulate(unit, operands: dict, outputs) -> dict[str, np.ndarray]:
    """Outputs for operands that enter one set a cycle, read ``unit.latency`` cycles after them.

    Operands that are not to matter any more are in place by the time a result is read, so a result
    that is early or late is seen to be so.
    """
    count = len(next(iter(operands.values())))
    got = {name: [] for name in outputs}

    async def testbench(ctx):
        for cycle in range(count + unit.latency):
            if cycle >= unit.latency:
                if unit.latency == 0:
                    put(ctx, cycle)
                for name in outputs:
                    got[name].append(ctx.get(getattr(unit, name)))
            if unit.latency:
                put(ctx, cycle)
                await ctx.tick()

    def put(ctx, cycle):
        for name, column in operands.items():
            ctx.set(getattr(unit, name), int(column[cycle % count]))

    simulator = Simulator(unit)
    if unit.latency:
        simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return {name: np.array(column) for name, column in got.items()}


def check(unit, operands: dict, wanted: dict, *, verilated: bool) -> None:
    """Fails unless the unit's outputs are bit for bit as wanted, and there are some.

    In Amaranth's simulator a few operands are run, from all parts of the columns.
    """
    assert len(next(iter(wanted.values()))) > 0
    if verilated:
        got = StreamUnit(unit).run(**operands)
        assert set(got) == set(wanted)
    else:
        few = np.random.default_rng(0).permutation(len(next(iter(operands.values()))))[:FEW]
        operands = {name: column[few] for name, column in operands.items()}
        wanted = {name: column[few] for name, column in wanted.items()}
        got = simulate(unit, operands, wanted)
    differences = unlike(got, wanted, operands)
    assert not differences, differences
