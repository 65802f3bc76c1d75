"""BP engine against the model: without it a wrong gradient of any shape would go unnoticed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import cocotb
import numpy as np

from hw.bp.engine import BpEngine
from hw.conv.lowering import bp_passes
from sim.harness.driver import EngineDriver
from sim.harness.layout import codes_dtype, pack_spikes, place, tile_maps, tile_weights
from sim.model import Status, encode, psum_bp
from tests.hw.bp.test_bp_engine import DEPTHS
from tests.hw.conv.cases import (
    bench_settings,
    case_layer,
    random_values,
    strips,
)


def from_row(there, row):
    """The place of a map without the rows before ``row``."""
    return there and replace(there, base=there.base + row * there.row)


@cocotb.test()
async def engine_equals_model(dut):
    shape, seed, cases = bench_settings()
    lanes, pixels, format = shape.lanes, shape.pixels, shape.format
    random = np.random.default_rng(seed)
    driver = EngineDriver(dut, BpEngine(shape), DEPTHS)
    await driver.reset()
    for index in range(cases):
        case = case_layer(random, index, lanes)
        layer = case.layer
        dut.stall.value = (0, 0, 100, 200)[index % 4]
        maps = (layer.samples, layer.steps)
        du = random_values(
            random,
            (*maps, layer.e, layer.f, case.channels_out),
            format,
            sparsity=(0.0, 0.5, 0.9, 0.99, 1.0)[index % 5],
            special=0.02 if index % 6 == 5 else 0.0,
            large=index % 8 == 7,
        )
        w = random_values(
            random,
            (case.channels_out, case.channels_in, *layer.kernel),
            format,
            sparsity=0.1,
            special=0.02 if index % 7 == 6 else 0.0,
            large=index % 8 == 7,
        )
        out_shape = (*maps, layer.h, layer.w, case.channels_in)
        masked, acc = bool(index & 1), bool(index & 2)
        mask = random.random(out_shape) < (0.0, 0.1, 0.5, 0.9)[index % 4]
        old = random.integers(-(1 << 40), 1 << 40, out_shape)
        old[random.random(out_shape) < 0.02] = -1 << (format.product_psum_bits - 1)
        if acc and format.product_psum_bits < 60:
            old = np.clip(old, -1 << (format.product_psum_bits - 1), 1 << 30)

        du_words = encode(tile_maps(du, lanes), format)
        du_words = du_words.astype(codes_dtype(format))
        psum_words = tile_maps(old, lanes)
        fire_words = pack_spikes(mask, lanes, pixels)
        weights = tile_weights(w, lanes, format)
        # Away from 0, so that addresses relative to a base are seen to be.
        du_base, psum_base, fire_base, w_base = (int(b) for b in random.integers(0, 40, 4))
        places = {
            "du": place(du_words, du_base),
            "psums": place(psum_words, psum_base),
            "fire": place(fire_words, fire_base) if masked else None,
        }
        flat = du_words.reshape(-1, lanes)
        driver.load("du", flat, du_base)
        bits = np.zeros(DEPTHS["nonzero"] * pixels, np.uint8)
        magnitude = (1 << (format.width - 1)) - 1
        bits[du_base : du_base + len(flat)] = (flat & magnitude).any(axis=1)
        driver.load("nonzero", np.packbits(bits.reshape(-1, pixels), axis=1, bitorder="little"))
        guard = random.integers(-(1 << 62), 1 << 62, (DEPTHS["conv"], lanes))
        driver.load("conv", guard)
        driver.load("conv", psum_words.reshape(-1, lanes), psum_base)
        driver.load("fire", fire_words.reshape(-1, fire_words.shape[-1]), fire_base)
        driver.load("w", weights.reshape(-1, lanes * shape.weight_words), w_base)

        status = Status()
        expected = psum_bp(
            du,
            w,
            size=(layer.h, layer.w),
            stride=layer.stride,
            padding=layer.padding,
            mask=mask if masked else None,
            acc=old if acc else None,
            status=status,
            format=format,
        )
        # The layer as a whole, or in strips of its rows.
        parts = [(layer, 0, 0)]
        if index % 3 == 1:
            with suppress(ValueError):
                parts = [
                    (*layer.bp_strip(first, last), first) for first, last in strips(random, layer.h)
                ]
        for skip in (True, False):
            driver.load("conv", psum_words.reshape(-1, lanes), psum_base)
            overflow = invalid = False
            commands = [
                command
                for part, begin, first in parts
                for command in bp_passes(
                    part,
                    shape,
                    weights=w_base,
                    psum_acc=acc,
                    skip=skip,
                    **{
                        name: from_row(there, begin if name == "du" else first)
                        for name, there in places.items()
                    },
                )
            ]
            for command in commands:
                cycles = await driver.run(command)
                overflow |= driver.statuses["overflow"]
                invalid |= driver.statuses["invalid"]
                counters = driver.counters()
                assert counters["busy"] == counters["du_reads"], counters
                assert counters["busy"] + counters["stalled"] + 1 >= cycles - 1, (counters, cycles)
            count = psum_words[..., 0].size
            got = driver.fetch("conv", psum_base, count, np.int64).reshape(psum_words.shape)
            want = tile_maps(expected, lanes)
            channels = tile_maps(np.ones_like(expected), lanes) != 0
            wrong = np.argwhere((got != want) & channels)
            where = f"case {index} seed {seed} {case} skip {skip} acc {acc}"
            assert not len(wrong), (
                f"{where}: {len(wrong)} of {want.size} differ, first at {wrong[0]}: "
                f"{got[tuple(wrong[0])]} for {want[tuple(wrong[0])]}"
            )
            assert (overflow, invalid) == (status.overflow, status.invalid), where
            rest = driver.fetch("conv", 0, DEPTHS["conv"], np.int64).reshape(-1, lanes)
            outside = np.ones(len(rest), bool)
            outside[psum_base : psum_base + count] = False
            assert (rest[outside] == guard[outside]).all(), f"{where}: wrote outside its psums"
