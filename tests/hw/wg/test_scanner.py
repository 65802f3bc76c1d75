"""Without these, a stride or a word boundary could pair the wrong pixels, or work be left out."""

from __future__ import annotations

import itertools
import random as standard_random

import numpy as np
import pytest

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.layout import Layout
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.wg.scanner import WORDS_AHEAD, WgScanner, WgSteps
from scripts.bench.rtl.passes import wg_pass
from tests.hw.ports import read_memory
from tests.hw.simulation import pulse, simulate

SEED = 11
LANES = 3
ADDRESSES = 1 << ADDRESS_BITS
SPIKES = Layout(base=300, tile=1000, row=9, step=3000, sample=7000)
DU = Layout(base=50, tile=2000, row=40, step=5000, sample=9000)
STEPS_LATENCY = 3
# Rows and columns that no window sees, a map that is smaller than its kernel, and a single word.
SMALL = [
    ConvLayer(h=3, w=9, kernel=(3, 2), stride=2, padding=(1, 1, 1, 0), c_tiles=2, m_tiles=2),
    ConvLayer(h=1, w=5, kernel=(3, 3), stride=3, padding=(2, 1, 3, 2), samples=2, steps=2),
    ConvLayer(h=1, w=1, kernel=(1, 1), m_tiles=2),
]


def layers(count):
    """Random layers; every stride from 1 to 7 comes up."""
    random = np.random.default_rng(SEED)
    for index in range(count):
        kernel = tuple(int(k) for k in random.integers(1, 8, 2))
        padding = tuple(int(p) for p in random.integers(0, 8, 4))
        yield ConvLayer(
            h=int(random.integers(max(1, kernel[0] - padding[0] - padding[1]), 11)),
            w=int(random.integers(max(1, kernel[1] - padding[2] - padding[3]), 30)),
            kernel=kernel,
            stride=1 + index % 7,
            padding=padding,
            c_tiles=int(random.integers(1, 3)),
            m_tiles=int(random.integers(1, 3)),
            samples=int(random.integers(1, 3)),
            steps=int(random.integers(1, 3)),
        )


def fields_of(layer, *, pixels, skip=True):
    """The command for a layer."""
    return wg_pass(layer, lanes=LANES, pixels=pixels, spikes=SPIKES, du=DU, dw=0, skip=skip)


def positions(layer, pixels):
    """(m tile, c tile, r, s) in order, each with its (spike word address, pixel, du address)."""
    for m in range(layer.m_tiles):
        for c in range(layer.c_tiles):
            for r in range(layer.kernel[0]):
                for s in range(layer.kernel[1]):
                    yield (m, c, r, s), _vectors(layer, pixels, m, c, r, s)


def _vectors(layer, pixels, m, c, r, s):
    top, _, left, _ = layer.padding
    found = []
    for n in range(layer.samples):
        for t in range(layer.steps):
            for oy in range(layer.e):
                y = oy * layer.stride + r - top
                for ox in range(layer.f if 0 <= y < layer.h else 0):
                    x = ox * layer.stride + s - left
                    if 0 <= x < layer.w:
                        spike = c * SPIKES.tile + n * SPIKES.sample + t * SPIKES.step
                        word = SPIKES.base + spike + y * SPIKES.row + x // pixels
                        du = m * DU.tile + n * DU.sample + t * DU.step + oy * DU.row + ox
                        found.append((word % ADDRESSES, x % pixels, (DU.base + du) % ADDRESSES))
    return found


def vectors_of(place, *, stride, pixels):
    """(pixel, du address) of each pixel of a word that is pending."""
    return [
        (p, (place["du_addr"] + (place["rest"] + p) // stride) % ADDRESSES)
        for p in range(pixels)
        if place["pending"] >> p & 1
    ]


@pytest.mark.parametrize("pixels", [4, 16])
def test_words_and_pixels_are_those_under_a_window(pixels):
    random = np.random.default_rng(SEED)
    for layer in layers(7):
        steps, got = WgSteps(pixels=pixels), []
        fields = fields_of(layer, pixels=pixels)
        expected = list(positions(layer, pixels))

        async def bench(ctx, steps=steps, got=got, fields=fields, expected=expected):
            ctx.set(steps.command, fields)
            await pulse(ctx, steps.start)
            current = []
            for _ in range(60_000):
                ready = int(random.random() < 0.8)
                ctx.set(steps.o.ready, ready)
                if ctx.get(steps.o.valid) and ready:
                    request = ctx.get(steps.o.payload)
                    place = request["place"]
                    vectors = vectors_of(place, stride=fields["stride"], pixels=pixels)
                    current += [(request["addr"], *vector) for vector in vectors]
                    if place["last"]:
                        got.append(current)
                        current = []
                        if len(got) == len(expected):
                            return
                await ctx.tick()

        simulate(steps, bench)
        assert len(got) == len(expected), (SEED, layer)
        for (position, vectors), found in zip(expected, got, strict=True):
            assert found == vectors, (SEED, layer, position)


def test_a_word_is_looked_at_in_each_cycle_the_first_three_cycles_after_the_start():
    # Two of the three rows of the kernel are outside of the map: all words but the last go.
    layer = ConvLayer(h=1, w=9, kernel=(3, 3), padding=(1, 1, 1, 1))
    steps, came = WgSteps(pixels=4), []
    position = layer.e * -(-layer.w // 4)

    async def bench(ctx):
        ctx.set(steps.command, fields_of(layer, pixels=4))
        ctx.set(steps.o.ready, 1)
        await pulse(ctx, steps.start)
        for cycle in range(1, STEPS_LATENCY + 9 * position + 3):
            if ctx.get(steps.o.valid) and ctx.get(steps.o.payload.place.last):
                came.append(cycle)
            await ctx.tick()

    simulate(steps, bench)
    assert came == [STEPS_LATENCY - 1 + (1 + number) * position for number in range(9)]


def spikes_at(address: int, pixels: int) -> list[int]:
    """What lies in a memory: most pixels are silent, and most words."""
    random = standard_random.Random(address)
    share = random.choice([0, 0, 0.3])
    return [random.randrange(1 << LANES) * (random.random() < share) for _ in range(pixels)]


def as_word(spikes: list[int]) -> int:
    """Vectors as they lie in a word of the memory."""
    return sum(vector << LANES * p for p, vector in enumerate(spikes))


def handed_on(vectors, *, pixels, skip):
    """What is to become of the vectors of a position.

    Returns its words with work, each as its (pixel, du address) and its spikes, the addresses
    that are read, and how many pixels are left out.
    """
    words, reads, skipped = [], [], 0
    for address, group in itertools.groupby(vectors, key=lambda vector: vector[0]):
        spikes = spikes_at(address, pixels)
        seen = [vector[1:] for vector in group]
        live = [(p, du) for p, du in seen if spikes[p] or not skip]
        reads.append(address)
        skipped += len(seen) - len(live)
        if live:
            words.append((live, spikes))
    return words, reads, skipped


@pytest.mark.parametrize(
    ("granting", "taking", "skip"), [(0.5, 1, True), (0.4, 0.8, False), (1, 0.2, True)]
)
@pytest.mark.parametrize("layer", SMALL)
def test_words_with_work_are_handed_on_and_all_other_pixels_counted(layer, granting, taking, skip):
    random = standard_random.Random(f"{SEED}{granting}{taking}{skip}")
    pixels = 4
    scanner = WgScanner(lanes=LANES, pixels=pixels)
    fields = fields_of(layer, pixels=pixels, skip=skip)
    walk = list(positions(layer, pixels))
    reads, got, skipped = [], [], 0

    def word_at(address):
        reads.append(address)
        return as_word(spikes_at(address, pixels))

    async def count(ctx):
        nonlocal skipped
        while True:
            *_, silent = await ctx.tick().sample(scanner.skipped)
            skipped += silent

    async def bench(ctx):
        ctx.set(scanner.command, fields)
        await pulse(ctx, scanner.start)
        for (m, c, *_), _ in walk:
            words, last = [], False
            while not last:
                takes = random.random() < taking
                ctx.set(scanner.o.ready, takes)
                *_, valid, word = await ctx.tick().sample(scanner.o.valid, scanner.o.payload)
                if valid and takes:
                    place, last = word.place, word.place.last
                    live = vectors_of(place, stride=fields["stride"], pixels=pixels)
                    assert live or last, "a word without work"
                    tiles = (m == layer.m_tiles - 1, c == layer.c_tiles - 1)
                    assert (place.last_m, place.last_c) == tiles
                    words += [(live, list(word.spikes))] if live else []
            got.append(words)
        ctx.set(scanner.o.ready, 1)
        for _ in range(2 * WORDS_AHEAD):
            await ctx.tick()
            assert not ctx.get(scanner.o.valid), "more words come than there are"

    memory = read_memory(scanner.port, word_at, ready=lambda: random.random() < granting)
    simulate(scanner, bench, background=[memory, count])
    expected = [handed_on(vectors, pixels=pixels, skip=skip) for _, vectors in walk]
    assert got == [words for words, _, _ in expected]
    assert reads == [address for _, addresses, _ in expected for address in addresses]
    assert skipped == sum(silent for _, _, silent in expected)


@pytest.mark.parametrize("at_work", [1, 2])
def test_a_silent_word_costs_a_cycle_or_none_while_the_words_before_it_are_at_work(at_work):
    """As many words with work one behind the other, and without, as wait for the picker."""
    run = WORDS_AHEAD + 4
    layer = ConvLayer(h=1, w=4 * 4 * run, kernel=(1, 1))
    scanner = WgScanner(lanes=LANES, pixels=4)
    busy = [word for word in range(4 * run) if word // run % 2 == 0]
    taken = []

    def word_at(address):
        return int(address - SPIKES.base in busy)

    async def bench(ctx):
        ctx.set(scanner.command, fields_of(layer, pixels=4))
        await pulse(ctx, scanner.start)
        cycle = free = 0
        while len(taken) <= len(busy):
            ctx.set(scanner.o.ready, cycle >= free)
            *_, valid = await ctx.tick().sample(scanner.o.valid)
            if valid and cycle >= free:
                taken.append(cycle)
                free = cycle + at_work
            cycle += 1

    simulate(scanner, bench, background=[read_memory(scanner.port, word_at, ready=lambda: True)])
    # The last word of the position comes whether it has work or not.
    words = [*busy, 4 * run - 1]
    gaps = np.diff(words) if at_work == 1 else [at_work] * len(busy)
    assert list(np.diff(taken)) == list(gaps)
