"""Runs a testbench in Amaranth's simulator, with the time-out that it lacks."""

from __future__ import annotations

from amaranth.sim import Simulator

__all__ = ["pause", "pulse", "simulate"]


def simulate(component, *testbenches, background=(), limit: int = 20_000) -> None:
    """Run all testbenches to their end; fails if that takes more than ``limit`` cycles.

    Those of ``background`` run beside them, and end with them.
    """

    async def watch(ctx):
        await ctx.delay(limit * 1e-6)
        raise AssertionError(f"not done after {limit} cycles")

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    for testbench in (watch, *background):
        simulator.add_testbench(testbench, background=True)
    simulator.run()


async def pause(ctx, random, odds: float) -> None:
    """Waits, with the odds in each cycle for one more."""
    while random.random() < odds:
        await ctx.tick()


async def pulse(ctx, signal) -> None:
    """Sets a signal for one cycle."""
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)
