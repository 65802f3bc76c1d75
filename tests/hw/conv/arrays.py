"""What the tests of the arrays share: a bench for any of them, and the plainest one there is."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from backspike.hw.arith.format import PSUM_BITS, Float
from backspike.hw.arith.unpack import delayed
from backspike.hw.conv.array import ConvArray
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.limits import ADDRESS_BITS
from tests.hw.simulation import simulate

__all__ = ["GivenStep", "PixelSteps", "PlainArray", "draw_codes", "draw_pixel", "hold_to"]


class PlainArray(ConvArray):
    """Adds up the codes of weights as whole numbers; that of NaN raises ``invalid``.

    Its timing is that of the FP array, with any latency from 1.
    """

    def __init__(self, shape: EngineShape, *, latency: int = 1):
        self.latency = latency
        slots = data.ArrayLayout(ceil_log2(shape.ring_depth), shape.lanes)
        super().__init__(
            shape,
            step={"take": In(shape.lanes), "slots": In(slots)},
            operands={},
            results={},
        )

    def elaborate(self, platform):
        m = Module()
        load, load_slot, load_part = self._load(m)
        rows = Signal.like(self.rows)
        m.d.sync += rows.eq(self.rows)
        control = self._control(m)
        nans = []
        for channel in range(self._lanes):
            part, word = divmod(channel, self._weight_words)
            terms = []
            for lane in range(self._lanes):
                memory = Memory(shape=self._format.width, depth=self._ring_depth, init=[])
                m.submodules[f"weights_{channel}_{lane}"] = memory
                write, read = memory.write_port(), memory.read_port(domain="comb")
                m.d.comb += [
                    write.en.eq(load & (load_part == part)),
                    write.addr.eq(load_slot),
                    write.data.eq(rows[word * self._lanes + lane]),
                    read.addr.eq(self.slots[lane]),
                ]
                terms.append(Mux(self.take[lane], read.data, 0))
                nans.append(self.take[lane] & (read.data == self._format.nan))
            term = Signal(PSUM_BITS, name=f"term_{channel}")
            m.d.comb += term.eq(sum(terms))
            psum = self.new[channel]
            start = Mux(control.adds_first, Mux(control.adds_read, self.old[channel], 0), psum)
            later = delayed(m, term, self.latency - 1, f"term_{channel}_later")
            with m.If(control.adds):
                m.d.sync += psum.eq(start + later)
        nan = Signal()
        m.d.comb += [
            nan.eq(Cat(nans).any()),
            self.invalid.eq(control.adds & delayed(m, nan, self.latency - 1, "nan_later")),
        ]
        return m


@dataclass(frozen=True, kw_only=True)
class GivenStep:
    """What enters an array in a cycle, what it shows in that cycle, and what its sum raises."""

    inputs: Mapping[str, Any]
    shows: Mapping[str, int] = field(default_factory=dict)
    raises: Mapping[str, bool]


@dataclass(frozen=True, kw_only=True)
class PixelSteps:
    """An output pixel: its steps, what it starts from, and what it is to become."""

    pixel: Mapping[str, int]
    steps: Sequence[GivenStep]
    old: Sequence[int]
    new: Sequence[int]


def draw_codes(random: np.random.Generator, format: Float, *sizes: int) -> np.ndarray:
    """Codes of values of which some are +0 or -0, and few NaN or infinite."""
    codes = random.integers(0, format.infinity, sizes)
    codes = np.where(random.random(sizes) < 0.2, 0, codes)
    special = random.choice([format.infinity, format.nan], sizes)
    codes = np.where(random.random(sizes) < 0.03, special, codes)
    return codes | random.integers(0, 2, sizes) << (format.width - 1)


def draw_pixel(random: np.random.Generator) -> dict[str, int]:
    """Whether it reads and writes its psums, and where they are."""
    return {
        "addr": int(random.integers(0, 1 << ADDRESS_BITS)),
        "read": int(random.random() < 0.6),
        "write": int(random.random() < 0.8),
    }


def hold_to(
    array: ConvArray,
    tiles,
    pixels: Sequence[PixelSteps],
    *,
    random: np.random.Generator,
    held: Mapping[str, int] | None = None,
    idle: Mapping[str, Any],
) -> None:
    """Loads codes ``tiles[slot, row, lane]``, then holds the array to all that pixels say.

    ``held`` are inputs that stay; ``idle`` are those of a step that is not there.
    """
    slots, lanes, _ = tiles.shape
    words = array.parameters["weight_words"]
    latency = array.latency
    steps = [step for pixel in pixels for step in pixel.steps]
    raised = {name for step in steps for name in step.raises}
    for name in raised:
        assert any(step.raises[name] for step in steps), f"nothing here raises {name}"

    async def load(ctx):
        every = list(itertools.product(range(slots), range(lanes // words)))
        random.shuffle(every)
        for slot, part in every:
            # What is there in other cycles is no weight.
            for write in (1, *[0] * int(random.integers(0, 2)), 0):
                chosen = tiles[slot, part * words : (part + 1) * words]
                litter = random.integers(0, 1 << array.parameters["format"].width, chosen.size)
                ctx.set(array.write, write)
                ctx.set(array.slot, slot if write else int(random.integers(0, slots)))
                ctx.set(array.part, part if write else int(random.integers(0, lanes // words)))
                ctx.set(array.rows, [int(c) for c in (chosen.flat if write else litter)])
                await ctx.tick()

    async def bench(ctx):
        for name, value in (held or {}).items():
            ctx.set(getattr(array, name), value)
        await load(ctx)
        # Of each cycle the pixel and the number of its step; None where no step enters.
        entered: list[tuple[PixelSteps, int] | None] = [None] * (latency + 1)
        for pixel in pixels:
            for number in range(len(pixel.steps)):
                entered += [None] * int(random.integers(0, 2) * random.integers(0, latency + 3))
                entered.append((pixel, number))
        entered += [None] * (latency + 1)
        for cycle in range(latency + 1, len(entered)):
            inside = entered[cycle - latency : cycle + 1]
            await check(ctx, entering=inside[-1], adding=inside[1], done=inside[0])
            assert ctx.get(array.empty) == (not any(inside))
            await ctx.tick()

    async def check(ctx, *, entering, adding, done):
        ctx.set(array.valid, entering is not None)
        step, last = None, random.integers(0, 2)
        first = int(last)
        if entering:
            pixel, number = entering
            step, first = pixel.steps[number], number == 0
            last = number == len(pixel.steps) - 1
            ctx.set(array.pixel, pixel.pixel)
        ctx.set(array.first, int(first))
        ctx.set(array.last, int(last))
        for name, value in (step.inputs if step else idle).items():
            ctx.set(getattr(array, name), value)
        for name, value in (step.shows if step else {}).items():
            assert ctx.get(getattr(array, name)) == value

        pops = adding is not None and adding[1] == 0 and bool(adding[0].pixel["read"])
        # An old psum that nobody asked for is anything.
        old = adding[0].old if pops else random.integers(-1 << 40, 1 << 40, lanes)
        ctx.set(array.old, [int(psum) % (1 << PSUM_BITS) for psum in old])
        assert ctx.get(array.pop) == pops
        for name in raised:
            due = adding is not None and adding[0].steps[adding[1]].raises[name]
            assert ctx.get(getattr(array, name)) == due, name

        ends = done is not None and done[1] == len(done[0].steps) - 1
        pushes = ends and bool(done[0].pixel["write"])
        assert ctx.get(array.push) == pushes
        if pushes:
            assert ctx.get(array.push_addr) == done[0].pixel["addr"]
            found = [ctx.get(array.new[channel]) for channel in range(lanes)]
            assert found == [int(psum) % (1 << PSUM_BITS) for psum in done[0].new]

    simulate(array, bench)
