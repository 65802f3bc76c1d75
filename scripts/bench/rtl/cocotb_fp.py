"""The FP engine at full size: dense and sparse convolutions, and a fully connected layer."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.words import layout_of, pack_spikes, tile_maps, tile_weights
from backspike.hw.fp.engine import FpEngine
from backspike.hw.isa.conv.shape import EngineShape
from backspike.sim.harness.driver import EngineDriver
from backspike.sim.model import Status, psum_fp
from scripts.bench.rtl.passes import fp_pass
from scripts.bench.rtl.work import (
    CHANNELS,
    CONFIG,
    CONV,
    FC,
    FC_CHANNELS,
    SEED,
    differing_bits,
    measure,
    sparse_spikes,
    values,
    write_results,
)

DEPTHS = {"s_in": 512, "w": 16384, "conv": 4096}
"""Words of the memories: they hold the layer."""
SPARSITIES = (80, 90, 95)
"""Per cent."""


def needed_cycles(spikes: NDArray, layer: ConvLayer, command: dict[str, int], lanes: int) -> int:
    """Sum over output tiles, groups, pixels of max(1, the busiest lane's spikes in the group)."""
    maps = tile_maps(spikes, lanes).astype(np.int64)
    top, bottom, left, right = layer.padding
    maps = np.pad(maps, [(0, 0)] * 3 + [(top, bottom), (left, right), (0, 0)])
    kh, kw = layer.kernel
    if command["row_groups"] != 1:
        raise ValueError("a group must hold all kernel rows")
    total = 0
    for tile in range(0, layer.c_tiles, command["group_tiles"]):
        count = np.zeros((*maps.shape[:2], layer.e, layer.f, lanes), np.int64)
        for c in range(tile, min(tile + command["group_tiles"], layer.c_tiles)):
            for r in range(kh):
                for s in range(kw):
                    count += maps[:, :, c, r : r + layer.e, s : s + layer.f]
        total += int(np.maximum(1, count.max(axis=-1)).sum())
    return layer.m_tiles * total


@cocotb.test()
async def figures(dut: Any) -> None:
    lanes, pixels = CONFIG.array.lanes, CONFIG.array.spike_pixels
    random = np.random.default_rng(SEED)
    engine = FpEngine.from_config(CONFIG)
    driver = EngineDriver(dut, engine, DEPTHS)
    await driver.reset()
    cases = [("dense", CONV, CHANNELS, 0)]
    cases += [(f"sparse_{percent}", CONV, CHANNELS, percent) for percent in SPARSITIES]
    cases += [("fc", FC, FC_CHANNELS, 0)]
    runs = {}
    for name, layer, channels, percent in cases:
        spikes = sparse_spikes(random, layer, percent)
        w = values(random, (channels, channels, *layer.kernel), 1 / 16)
        spike_words = pack_spikes(spikes, lanes, pixels)
        weights = tile_weights(w, lanes, CONFIG.format)
        expected = psum_fp(
            spikes.astype(np.int64), w, padding=layer.padding, status=Status(), format=CONFIG.format
        )
        want = tile_maps(expected, lanes)
        driver.load("s_in", spike_words.reshape(-1, spike_words.shape[-1]))
        driver.load("w", weights.reshape(-1, lanes * CONFIG.array.weight_words))
        command = fp_pass(
            layer,
            EngineShape.from_config(CONFIG),
            spikes=layout_of(spike_words),
            weights=0,
            psums=layout_of(want),
            skip=percent > 0,
        )
        run = await measure(driver, [command], speed=name == "dense")
        got = driver.fetch("conv", 0, want[..., 0].size, np.int64)
        runs[name] = {
            **run,
            **differing_bits(got, want.reshape(got.shape)),
            "needed": needed_cycles(spikes, layer, command, lanes),
            "tile_visits": layer.e * layer.f * layer.c_tiles * layer.m_tiles * w[0, 0].size,
        }
    write_results(engine, runs)
