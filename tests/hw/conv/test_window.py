"""Without these, an engine could take pixels of another place, at edges that few networks have."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from hw.conv.window import WindowGenerator
from hw.limits import TAP_MAX
from hw.memory.port import ADDRESS_BITS
from tests.hw.simulation import simulate

SEED = 47
CASES = 12
MEMORY = 1 << ADDRESS_BITS


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A pass over an input map; sizes as in :class:`hw.conv.command.ConvCommand`."""

    out_tiles: int = 1
    in_groups: int = 1
    group_tiles: int = 1
    last_tiles: int = 1
    row_groups: int = 1
    group_rows: int = 1
    last_rows: int = 1
    kernel_w: int
    samples: int = 1
    steps: int = 1
    in_h: int
    in_w: int
    out_h: int
    out_w: int
    stride: int = 1
    pad_top: int = 0
    pad_left: int = 0

    @property
    def tiles(self) -> int:
        return (self.in_groups - 1) * self.group_tiles + self.last_tiles

    def segments(self, pixels: int) -> int:
        """Segments of a row that its windows reach, at least one."""
        reach = (self.out_w - 1) * self.stride + self.kernel_w - self.pad_left
        return -(-max(1, min(reach, self.in_w)) // pixels)

    def windows(self, image):
        """Windows in order, each as a list of pixels or None, from image[tile, sample, step]."""
        for _, group, row_group, sample, step, y, x in itertools.product(
            range(self.out_tiles),
            range(self.in_groups),
            range(self.row_groups),
            range(self.samples),
            range(self.steps),
            range(self.out_h),
            range(self.out_w),
        ):
            tiles = self.last_tiles if group == self.in_groups - 1 else self.group_tiles
            rows = self.last_rows if row_group == self.row_groups - 1 else self.group_rows
            window = []
            for tile, r, s in itertools.product(range(tiles), range(rows), range(self.kernel_w)):
                row = y * self.stride + row_group * self.group_rows + r - self.pad_top
                column = x * self.stride + s - self.pad_left
                inside = 0 <= row < self.in_h and 0 <= column < self.in_w
                map_ = image[group * self.group_tiles + tile, sample, step]
                window.append(int(map_[row, column]) if inside else None)
            yield window


def draw(random, *, rows: int, entries: int) -> Walk:
    """A walk that fits a generator; maps are often smaller than the kernel, or barely larger."""

    def one(low, high):
        return int(random.integers(low, high, endpoint=True))

    kernel_w = one(1, min(TAP_MAX, entries))
    held = min(rows, entries // kernel_w)
    group_tiles = one(1, min(3, held))
    group_rows = one(1, min(4, held // group_tiles))
    stride = one(1, 3) if random.random() < 0.8 else TAP_MAX
    outer = ["out_tiles", "in_groups", "row_groups", "samples", "steps"]
    return Walk(
        **{name: 2 for name in random.choice(outer, 2, replace=False)},
        group_tiles=group_tiles,
        last_tiles=one(1, group_tiles),
        group_rows=group_rows,
        last_rows=one(1, group_rows),
        kernel_w=kernel_w,
        in_h=one(1, 5),
        in_w=one(1, 11),
        out_h=one(1, 4),
        out_w=one(1, 7),
        stride=stride,
        pad_top=one(0, 3) if random.random() < 0.8 else TAP_MAX,
        pad_left=one(0, kernel_w) if random.random() < 0.8 else TAP_MAX,
    )


class Input:
    """A map in a memory, laid out with gaps: words by address, and the strides of the command."""

    def __init__(self, walk: Walk, random, *, bits: int, pixels: int):
        self.image = random.integers(
            0, 1 << bits, (walk.tiles, walk.samples, walk.steps, walk.in_h, walk.in_w)
        )
        # One word a segment, or (of single bits) the first of as many words as it has pixels.
        per_segment = 1 if bits > 1 else pixels
        segments = walk.segments(pixels)
        row = segments * per_segment + int(random.integers(0, 4))
        order = random.permutation(4)
        sizes = np.array([walk.tiles, walk.samples, walk.steps, walk.in_h])
        strides = np.zeros(4, dtype=int)
        reach = row
        for axis in order:
            strides[axis] = reach
            reach = reach * int(sizes[axis]) + int(random.integers(0, 4))
        base = int(random.integers(0, MEMORY))
        self.strides = {
            name: int(stride)
            for name, stride in zip(("tile", "sample", "step", "row"), strides, strict=True)
        }
        self.base = base
        self.words = {}
        for index in np.ndindex(*sizes):
            for segment in range(segments):
                held = self.image[index][segment * pixels : (segment + 1) * pixels]
                # What lies behind a row in its last word is anything.
                filled = np.concatenate([held, random.integers(0, 1 << bits, pixels - len(held))])
                address = base + int(np.dot(index, strides)) + segment * per_segment
                self.words[address % MEMORY] = sum(
                    int(pixel) << bits * i for i, pixel in enumerate(filled)
                )

    def command(self, walk: Walk, pixels: int) -> dict[str, int]:
        fields = {**vars(walk), "row_segments": walk.segments(pixels)}
        row = self.strides["row"]
        fields |= {f"in_{name}": stride for name, stride in self.strides.items()}
        fields |= {
            "in_base": self.base - walk.pad_top * row,
            "in_group": walk.group_tiles * self.strides["tile"],
            "in_row_group": walk.group_rows * row,
            "in_out_row": walk.stride * row,
        }
        return {
            name: value % MEMORY if name.startswith("in_") else value
            for name, value in fields.items()
        }


def run(windows, walks, *, bits: int, pixels: int, random, hurry: list[float]) -> list[int]:
    """Holds the windows of walks against those of Python; the cycles in which the last ones came.

    ``hurry`` are the odds with which memory and consumer may be ready, drawn for each walk.
    """
    at_work: list[Input] = []
    read = take = 1.0
    cycles: list[int] = []

    async def memory(ctx):
        port, word = windows.port, None
        while True:
            ready = random.random() < read
            ctx.set(port.ready, ready)
            # A word is there for one cycle.
            ctx.set(
                port.data, int(random.integers(0, 1 << bits * pixels)) if word is None else word
            )
            _, _, asks, address = await ctx.tick().sample(port.en, port.addr)
            word = None
            if asks and ready:
                assert address in at_work[-1].words, f"word {address} is none of the map"
                word = at_work[-1].words[address]

    async def bench(ctx):
        nonlocal read, take
        for walk in walks:
            read, take = random.choice(hurry, 2).tolist()
            at_work.append(Input(walk, random, bits=bits, pixels=pixels))
            for name, value in at_work[-1].command(walk, pixels).items():
                ctx.set(windows.command[name], value)
            ctx.set(windows.start, 1)
            await ctx.tick()
            ctx.set(windows.start, 0)
            cycle, cycles[:] = 0, []
            for number, window in enumerate(walk.windows(at_work[-1].image)):
                while True:
                    takes = random.random() < take
                    ctx.set(windows.ready, takes)
                    _, _, valid, present, *given = await ctx.tick().sample(
                        windows.valid, windows.present, *windows.window
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
            ctx.set(windows.ready, 1)
            for _ in range(20):
                assert not ctx.get(windows.valid), f"one window too many of {walk}"
                await ctx.tick()

    simulate(windows, bench, background=[memory], limit=8_000)
    return cycles


@pytest.mark.parametrize(
    ("bits", "pixels", "rows", "entries"), [(2, 4, 4, 9), (1, 4, 3, 7), (3, 8, 1, 7)]
)
def test_windows_are_what_lies_under_the_kernel(bits, pixels, rows, entries):
    random = np.random.default_rng([SEED, bits])
    walks = [draw(random, rows=rows, entries=entries) for _ in range(CASES)]
    windows = WindowGenerator(bits=bits, pixels=pixels, rows=rows, entries=entries)
    run(windows, walks, bits=bits, pixels=pixels, random=random, hurry=[1.0, 0.4])


@pytest.mark.parametrize(("kernel_w", "pad_left"), [(1, 0), (3, 1), (3, 0), (5, 2), (3, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_window_takes_as_many_cycles_as_its_stride(kernel_w, pad_left, stride):
    walk = Walk(
        kernel_w=kernel_w, in_h=4, in_w=24, out_h=4, out_w=9, stride=stride, pad_left=pad_left
    )
    windows = WindowGenerator(bits=2, pixels=8, rows=2, entries=7)
    random = np.random.default_rng(SEED)
    cycles = run(windows, [walk], bits=2, pixels=8, random=random, hurry=[1.0])
    between_rows = 1 + max(0, kernel_w - 1 - pad_left)
    within = [stride] * (walk.out_w - 1)
    assert cycles[0] <= 12
    assert list(np.diff(cycles)) == ([*within, between_rows] * walk.out_h)[:-1]
