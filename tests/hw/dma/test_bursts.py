"""Without these, a burst could cross what AXI lets none cross, or leave out the end of a row."""

from __future__ import annotations

import random

import pytest

from backspike.hw.dma.bursts import Bursts
from tests.hw.simulation import pulse, simulate

SEED = 79
COMMANDS = 40
WIDTHS = (16, 64, 256)


def expected(command: dict[str, int], origin: int, *, bus_bits: int, burst_beats: int):
    """Address and beats of each burst of a command, and whether it ends its row."""
    size = bus_bits // 8
    for row in range(command["rows"]):
        beat = (origin + (command["dram"] + row * command["dram_row"]) % (1 << 32)) // size
        left = -(-command["words"] * WIDTHS[command["sram"]] // bus_bits)
        while left:
            beats = min(left, burst_beats - beat % burst_beats)
            left -= beats
            yield beat * size, beats, left == 0
            beat += beats


@pytest.mark.parametrize("hurry", [1.0, 0.5])
@pytest.mark.parametrize(("bus_bits", "burst_beats"), [(32, 16), (64, 1), (256, 4)])
def test_rows_are_cut_at_aligned_stretches(bus_bits, burst_beats, hurry):
    rng = random.Random(f"{SEED}{bus_bits}{hurry}")
    unit = Bursts(widths=WIDTHS, bus_bits=bus_bits, burst_beats=burst_beats)
    size = bus_bits // 8

    async def testbench(ctx):
        for _ in range(COMMANDS):
            origin = rng.getrandbits(38) // size * size
            command = {
                "sram": rng.randrange(len(WIDTHS)),
                "words": rng.randint(1, 40),
                "rows": rng.randint(1, 5),
                "dram": rng.choice([0, rng.getrandbits(31)]) // size * size,
                "dram_row": rng.choice([0, 4096, rng.getrandbits(12), -4096]) // size * size,
            }
            command["dram_row"] %= 1 << 32
            bursts = list(expected(command, origin, bus_bits=bus_bits, burst_beats=burst_beats))
            # Half of them are stopped, before or after all is asked for.
            stop = rng.randrange(2 * len(bursts)) if rng.random() < 0.5 else None
            for name, value in command.items():
                ctx.set(unit.command[name], value)
            ctx.set(unit.origin, origin)
            ctx.set(unit.stop, 0)
            ctx.set(unit.may, 0)
            await pulse(ctx, unit.start)
            asked, taken, cycles = [], [], 0
            while not ctx.get(unit.idle) or ctx.get(unit.valid):
                stopped = stop is not None and cycles >= stop
                ready, may = rng.random() < hurry, rng.random() < hurry
                ctx.set(unit.stop, stopped)
                ctx.set(unit.ready, ready)
                ctx.set(unit.may, may)
                if ctx.get(unit.asks):
                    assert may and not stopped
                    asked.append((ctx.get(unit.beats) + 1, bool(ctx.get(unit.ends))))
                if ctx.get(unit.valid) and ready:
                    taken.append((ctx.get(unit.address), ctx.get(unit.length) + 1))
                await ctx.tick()
                cycles += 1
            many = len(bursts) if stop is None else len(taken)
            assert taken == [(address, beats) for address, beats, _ in bursts[:many]]
            assert asked == [(beats, ends) for _, beats, ends in bursts[:many]]
            if hurry == 1.0 and stop is None:
                # One a cycle, the first from the third on.
                assert cycles <= len(bursts) + 2

    simulate(unit, testbench)
