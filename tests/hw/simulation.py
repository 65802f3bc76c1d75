"""Runs a testbench in Amaranth's simulator, with the time-out that it lacks."""

from __future__ import annotations

from amaranth.sim import Simulator

__all__ = ["simulate"]


def simulate(component, *testbenches, limit: int = 20_000) -> None:
    """Run all testbenches to their end; fails if that takes more than ``limit`` cycles."""
    unfinished = len(testbenches)

    def watched(testbench):
        async def run(ctx):
            nonlocal unfinished
            await testbench(ctx)
            unfinished -= 1

        return run

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(watched(testbench))
    simulator.run_until(limit * 1e-6)
    assert not unfinished, f"not done after {limit} cycles"
