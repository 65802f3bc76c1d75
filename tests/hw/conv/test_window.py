"""Without these, an engine could take pixels of another place, at edges that few networks have."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.conv.window import WindowGenerator
from tests.hw.conv.walks import Input, Walk, draw
from tests.hw.ports import read_memory
from tests.hw.simulation import pulse, simulate

SEED = 47
CASES = 12


def run(windows, walks, *, bits: int, pixels: int, random, hurry: list[float]) -> list[int]:
    """Holds the windows of walks against those of Python; the cycles in which the last ones came.

    ``hurry`` are the odds with which memory and consumer may be ready, drawn for each walk.
    """
    at_work: list[Input] = []
    read = take = 1.0
    cycles: list[int] = []

    def word_at(address):
        assert address in at_work[-1].words, f"word {address} is none of the map"
        return at_work[-1].words[address]

    async def bench(ctx):
        nonlocal read, take
        for walk in walks:
            read, take = random.choice(hurry, 2).tolist()
            at_work.append(Input(walk, random, bits=bits, pixels=pixels))
            for name, value in at_work[-1].command(walk, pixels).items():
                ctx.set(windows.command[name], value)
            await pulse(ctx, windows.start)
            cycle, cycles[:] = 0, []
            for number, (_, window) in enumerate(walk.windows(at_work[-1].image)):
                while True:
                    takes = random.random() < take
                    ctx.set(windows.o.ready, takes)
                    _, _, valid, present, *given = await ctx.tick().sample(
                        windows.o.valid, windows.o.payload.present, *windows.o.payload.entries
                    )
                    cycle += 1
                    if valid and takes:
                        break
                cycles.append(cycle)
                window += [None] * (len(given) - len(window))
                found = [
                    pixel if present >> entry & 1 else None for entry, pixel in enumerate(given)
                ]
                assert found == window, f"window {number} of {walk}"
                assert not any(p for p, w in zip(given, window, strict=True) if w is None)
            ctx.set(windows.o.ready, 1)
            for _ in range(20):
                assert not ctx.get(windows.o.valid), f"one window too many of {walk}"
                await ctx.tick()

    memory = read_memory(windows.port, word_at, ready=lambda: random.random() < read)
    simulate(windows, bench, background=[memory], limit=8_000)
    return cycles


@pytest.mark.parametrize(
    ("bits", "pixels", "group_rows", "group_tiles"), [(2, 4, 4, 9), (1, 4, 3, 7), (3, 8, 1, 7)]
)
def test_windows_are_what_lies_under_the_kernel(bits, pixels, group_rows, group_tiles):
    random = np.random.default_rng([SEED, bits])
    walks = [draw(random, group_rows=group_rows, group_tiles=group_tiles) for _ in range(CASES)]
    windows = WindowGenerator(
        bits=bits, pixels=pixels, group_rows=group_rows, group_tiles=group_tiles
    )
    run(windows, walks, bits=bits, pixels=pixels, random=random, hurry=[1.0, 0.4])


@pytest.mark.parametrize(("kernel_w", "pad_left"), [(1, 0), (3, 1), (3, 0), (5, 2), (3, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_window_takes_as_many_cycles_as_its_stride(kernel_w, pad_left, stride):
    walk = Walk(
        kernel_w=kernel_w, in_h=4, in_w=24, out_h=4, out_w=9, stride=stride, pad_left=pad_left
    )
    windows = WindowGenerator(bits=2, pixels=8, group_rows=2, group_tiles=7)
    random = np.random.default_rng(SEED)
    cycles = run(windows, [walk], bits=2, pixels=8, random=random, hurry=[1.0])
    between_rows = 1 + max(0, kernel_w - 1 - pad_left)
    within = [stride] * (walk.out_w - 1)
    assert cycles[0] <= 12
    assert list(np.diff(cycles)) == ([*within, between_rows] * walk.out_h)[:-1]
