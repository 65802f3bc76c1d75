"""Without these, a stride, a padding or a word boundary could pair the wrong pixels."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.layout import Layout
from backspike.hw.wg.scanner import WgSteps
from scripts.bench.rtl.passes import wg_pass
from tests.hw.simulation import simulate

SEED = 11
SPIKES = Layout(base=300, tile=1000, row=9, step=3000, sample=7000)
DU = Layout(base=50, tile=2000, row=40, step=5000, sample=9000)


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


def positions(layer):
    """(m tile, c tile, r, s) in order, each with its (spike word address, pixel, du address)."""
    for m in range(layer.m_tiles):
        for c in range(layer.c_tiles):
            for r in range(layer.kernel[0]):
                for s in range(layer.kernel[1]):
                    yield (m, c, r, s), _vectors(layer, m, c, r, s)


def _vectors(layer, m, c, r, s):
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
                        du = m * DU.tile + n * DU.sample + t * DU.step + oy * DU.row + ox
                        row = (SPIKES.base + spike + y * SPIKES.row) % (1 << 16)
                        found.append((row, x, (DU.base + du) % (1 << 16)))
    return found


@pytest.mark.parametrize("pixels", [4, 16])
def test_words_and_pixels_are_those_under_a_window(pixels):
    random = np.random.default_rng(SEED)
    for layer in layers(7):
        steps, got = WgSteps(pixels=pixels), []
        fields = wg_pass(layer, lanes=4, pixels=pixels, spikes=SPIKES, du=DU, dw=0)
        expected = list(positions(layer))

        async def bench(ctx, steps=steps, got=got, fields=fields, expected=expected):
            ctx.set(steps.command, fields)
            ctx.set(steps.start, 1)
            await ctx.tick()
            ctx.set(steps.start, 0)
            current = []
            for _ in range(60_000):
                ready = int(random.random() < 0.8)
                ctx.set(steps.o.ready, ready)
                if ctx.get(steps.o.valid) and ready:
                    request = ctx.get(steps.o.payload)
                    addr, place = request["addr"], request["place"]
                    pending = place["pending"]
                    for p in range(pixels):
                        if pending >> p & 1:
                            outs = (place["rest"] + p) // fields["stride"]
                            du = (place["du_addr"] + outs) % (1 << 16)
                            current.append((addr, p, du))
                    if place["last"]:
                        got.append(current)
                        current = []
                        if len(got) == len(expected):
                            return
                await ctx.tick()

        simulate(steps, bench)
        assert len(got) == len(expected), (SEED, layer)
        for (position, vectors), found in zip(expected, got, strict=True):
            words = [((row + x // pixels) % (1 << 16), x % pixels, du) for row, x, du in vectors]
            assert found == words, (SEED, layer, position)
