"""The BP engine at full size: a dense convolution and a fully connected layer."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from backspike.compiler.lowering.words import layout_of, tile_maps, tile_weights
from backspike.hw.bp.engine import BpEngine
from backspike.hw.isa.conv.shape import EngineShape
from backspike.sim.harness.driver import EngineDriver
from backspike.sim.model import Status, encode, psum_bp
from scripts.bench.rtl.passes import bp_passes
from scripts.bench.rtl.work import (
    CHANNELS,
    CONFIG,
    CONV,
    FC,
    FC_CHANNELS,
    SEED,
    differing_bits,
    measure,
    values,
    write_results,
)

DEPTHS = {"nonzero": 256, "du": 4096, "w": 16384, "fire": 16, "conv": 4096}
"""Words of the memories: they hold the layer. There is no fire mask."""


@cocotb.test()
async def figures(dut: Any) -> None:
    lanes, format = CONFIG.array.lanes, CONFIG.format
    random = np.random.default_rng(SEED)
    engine = BpEngine.from_config(CONFIG)
    driver = EngineDriver(dut, engine, DEPTHS)
    await driver.reset()
    runs = {}
    for name, layer, channels in (("dense", CONV, CHANNELS), ("fc", FC, FC_CHANNELS)):
        du = values(random, (layer.samples, layer.steps, layer.e, layer.f, channels), 1 / 64)
        w = values(random, (channels, channels, *layer.kernel), 1 / 16)
        du_words = encode(tile_maps(du, lanes), format)
        weights = tile_weights(w, lanes, format)
        expected = psum_bp(
            du, w, size=(layer.h, layer.w), padding=layer.padding, status=Status(), format=format
        )
        want = tile_maps(expected, lanes)
        flat = np.ascontiguousarray(du_words.reshape(-1, lanes), np.uint16)
        driver.load("du", flat)
        everywhere = np.full((DEPTHS["nonzero"], CONFIG.array.spike_pixels // 8), 0xFF, np.uint8)
        driver.load("nonzero", everywhere)
        driver.load("w", weights.reshape(-1, lanes * CONFIG.array.weight_words))
        commands = bp_passes(
            layer,
            EngineShape.from_config(CONFIG),
            du=layout_of(du_words),
            weights=0,
            psums=layout_of(want),
            skip=False,
        )
        run = await measure(driver, commands, speed=name == "dense")
        got = driver.fetch("conv", 0, want[..., 0].size, np.int64)
        runs[name] = {**run, **differing_bits(got, want.reshape(got.shape))}
    write_results(engine, runs)
