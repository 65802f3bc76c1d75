"""The WG engine at full size: dense and sparse spikes."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.words import layout_of, pack_spikes, tile_maps, tile_weights
from backspike.hw.arith.format import BINARY32
from backspike.hw.wg.engine import WgEngine
from backspike.sim.harness.driver import EngineDriver
from backspike.sim.model import Status, encode, psum_wg, read_wg
from scripts.bench.rtl.passes import wg_pass
from scripts.bench.rtl.work import (
    CHANNELS,
    CONFIG,
    CONV,
    SEED,
    differing_bits,
    measure,
    sparse_spikes,
    values,
    write_results,
)

DEPTHS = {"spike": 512, "du": 4096, "dw": 4096}
"""Words of the memories: they hold the layer."""
SPARSITIES = (90, 95, 98)
"""Per cent."""


def nonzero_vectors(spikes: NDArray, layer: ConvLayer, lanes: int) -> int:
    """Vectors of ``lanes`` spikes, not all silent, over all positions, tiles and outputs."""
    maps = tile_maps(spikes, lanes).any(axis=-1)
    top, bottom, left, right = layer.padding
    maps = np.pad(maps, [(0, 0)] * 3 + [(top, bottom), (left, right)])
    kh, kw = layer.kernel
    windows = (maps[..., r : r + layer.e, s : s + layer.f] for r in range(kh) for s in range(kw))
    return layer.m_tiles * sum(int(window.sum()) for window in windows)


@cocotb.test()
async def figures(dut: Any) -> None:
    lanes, format = CONFIG.array.lanes, CONFIG.format
    layer = CONV
    random = np.random.default_rng(SEED)
    engine = WgEngine.from_config(CONFIG)
    driver = EngineDriver(dut, engine, DEPTHS)
    await driver.reset()
    runs = {}
    for name, percent in (("dense", 0), *((f"sparse_{p}", p) for p in SPARSITIES)):
        spikes = sparse_spikes(random, layer, percent)
        du = values(random, (layer.samples, layer.steps, layer.e, layer.f, CHANNELS), 1 / 64)
        spike_words = pack_spikes(spikes, lanes, CONFIG.array.spike_pixels)
        du_words = encode(tile_maps(du, lanes), format)
        psum = psum_wg(
            spikes,
            du,
            kernel=layer.kernel,
            padding=layer.padding,
            status=Status(),
            format=format,
        )
        dw = read_wg(psum, status=Status(), format=format)
        want = tile_weights(dw, lanes, None).view(np.uint32).reshape(-1, lanes)
        driver.load("spike", spike_words.reshape(-1, spike_words.shape[-1]))
        driver.load("du", np.ascontiguousarray(du_words.reshape(-1, lanes), np.uint16))
        command = wg_pass(
            layer,
            lanes=lanes,
            pixels=CONFIG.array.spike_pixels,
            spikes=layout_of(spike_words),
            du=layout_of(du_words),
            dw=0,
            skip=percent > 0,
        )
        run = await measure(driver, [command], speed=name == "dense")
        got = driver.fetch("dw", 0, len(want), np.dtype(f"u{BINARY32.width // 8}"))
        runs[name] = {
            **run,
            **differing_bits(got, want.reshape(got.shape)),
            "vectors": nonzero_vectors(spikes, layer, lanes),
        }
    write_results(engine, runs)
