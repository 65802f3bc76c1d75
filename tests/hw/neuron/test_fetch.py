"""Without these, an operand could be read twice, lost under a stall, or of another pixel."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16
from backspike.hw.isa.neuron.command import Operation, Source
from backspike.hw.isa.neuron.kinds import GRAD, SOMA, word_bits
from backspike.hw.neuron.fetch import Fetch
from tests.hw.neuron.walks import place, random_command, visits, word_and_pixel
from tests.hw.ports import read_memory
from tests.hw.simulation import pulse, simulate

SEED = 4711
LANES, PIXELS = 3, 4
LATENCY = 3


def step(t_acc: int) -> dict:
    return {"operation": Operation.STEP, "t_acc": t_acc}


def vector(operation: Operation, x: Source, y: Source) -> dict:
    return {"operation": operation, "x": x, "y": y}


CASES = [
    # The engine, the side of a window, the settings, and the sources that are read.
    (SOMA, 1, step(0), {Source.CONV}),
    (SOMA, 3, step(1), {Source.CONV, Source.U, Source.BITS}),
    (SOMA, 1, vector(Operation.ADD, Source.U, Source.BITS), {Source.U, Source.BITS}),
    (SOMA, 1, vector(Operation.COMPARE, Source.BITS, Source.U), {Source.BITS}),
    (SOMA, 1, vector(Operation.MULTIPLY, Source.CONV, Source.SCALAR), {Source.CONV}),
    (GRAD, 1, step(1), {Source.CONV, Source.U, Source.DU}),
    (GRAD, 2, step(0), {Source.CONV, Source.U, Source.BITS}),
    (GRAD, 4, step(1), {Source.CONV, Source.U, Source.DU, Source.BITS}),
    (GRAD, 1, vector(Operation.SUBTRACT, Source.DU, Source.CONV), {Source.DU, Source.CONV}),
]


def word(memory: str, address: int, bits: int) -> int:
    """What lies in a memory: other numbers for other memories, addresses and bits."""
    random = np.random.default_rng((address, *memory.encode()))
    return int.from_bytes(random.bytes(bits // 8 + 1), "little") % (1 << bits)


def expected(kind, command, needed):
    """The addresses read in each memory, in order, and what is at the output for each pixel."""
    reads: dict[str, list[int]] = {operand.memory: [] for operand in kind.operands}
    pixels, held = [], {}
    for visit in visits(command["extent"]):
        for operand in kind.operands:
            memory, source = operand.memory, operand.source
            name = source.name.lower()
            if source not in needed:
                # Bits that nobody needs are 0; other words are then undefined.
                held[name] = 0 if source is Source.BITS else None
                continue
            if operand.by_window and not visit.whole:
                held[name] = None
                continue
            if operand.by_window and not visit.opens:
                continue
            address = command[f"{memory}_read"]
            if source is Source.BITS:
                at, pixel = word_and_pixel(address, visit, PIXELS)
            else:
                at, pixel = place(address, visit), 0
            reads[memory].append(at)
            bits = word_bits(source, format=BINARY16, lanes=LANES, pixels=PIXELS)
            held[name] = word(memory, at, bits)
            if source is Source.BITS:
                held[name] = held[name] >> pixel * LANES & (1 << LANES) - 1
        last = command["extent"]["last_lanes"]
        flags = (visit.opens, visit.closes, visit.whole, last if visit.last_tile else LANES)
        pixels.append((flags, dict(held)))
    return reads, pixels


def run(fetch, kind, command, count, random, granting, taking):
    """Takes ``count`` pixels: reads by memory, the pixels, and the cycles to the last one."""
    reads = {operand.memory: [] for operand in kind.operands}
    pixels, cycles = [], 0
    names = [operand.source.name.lower() for operand in kind.operands]

    def memory_of(name):
        port = getattr(fetch, f"{name}_read")

        def word_at(address):
            reads[name].append(address)
            return word(name, address, len(port.data))

        return read_memory(port, word_at, ready=lambda: random.random() < granting)

    async def take(ctx):
        nonlocal cycles
        ctx.set(fetch.command, command)
        await ctx.tick()
        await pulse(ctx, fetch.start)
        while len(pixels) < count:
            goes = bool(ctx.get(fetch.valid)) and random.random() < taking
            ctx.set(fetch.take, goes)
            cycles += 1
            if goes:
                flags = (fetch.opens, fetch.closes, fetch.whole, fetch.lanes_used)
                values = {name: ctx.get(getattr(fetch, name)) for name in names}
                pixels.append((tuple(map(ctx.get, flags)), values))
            await ctx.tick()
        ctx.set(fetch.take, 0)
        for _ in range(20):
            assert not ctx.get(fetch.active), "more pixels are asked for than there are"
            assert not ctx.get(fetch.valid), "more pixels come than there are"
            await ctx.tick()

    simulate(fetch, take, background=[memory_of(operand.memory) for operand in kind.operands])
    return reads, pixels, cycles


@pytest.mark.parametrize(("granting", "taking"), [(1, 1), (0.5, 0.6), (0.3, 1), (1, 0.3)])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_each_pixel_gets_what_it_needs_and_nothing_is_read_twice(case, granting, taking):
    kind, pooling, settings, needed = CASES[case]
    random = np.random.default_rng((SEED, case))
    command = random_command(random, kind.command, lanes=LANES, pooling=pooling)
    command["settings"] = settings
    reads, pixels = expected(kind, command, needed)
    fetch = Fetch(kind=kind, format=BINARY16, lanes=LANES, pixels=PIXELS)
    found, got, cycles = run(fetch, kind, command, len(pixels), random, granting, taking)
    assert found == reads, (SEED, command)
    for number, ((flags, words), (wanted_flags, wanted)) in enumerate(
        zip(got, pixels, strict=True)
    ):
        assert flags == wanted_flags, (SEED, command, number)
        known = {name: value for name, value in wanted.items() if value is not None}
        assert {name: words[name] for name in known} == known, (SEED, command, number)
    if granting == taking == 1:
        assert cycles == len(pixels) + LATENCY - 1, "a pixel a cycle, the first after the latency"
