"""FP engine against the model: without it a wrong sum of any shape would go unnoticed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import cocotb
import numpy as np

from hw.conv.lowering import fp_pass
from hw.fp.engine import FpEngine
from sim.harness.driver import EngineDriver
from sim.harness.layout import pack_spikes, place, tile_maps, tile_weights
from sim.model import Status, psum_fp
from tests.hw.conv.cases import (
    bench_settings,
    case_layer,
    random_values,
    strips,
)
from tests.hw.fp.test_fp_engine import DEPTHS


def needed_cycles(x, layer, command, lanes):
    """Sum over output tiles, groups and pixels of the busiest lane's spikes in the group."""
    spikes = tile_maps(x, lanes).astype(np.int64)
    top, bottom, left, right = layer.padding
    spikes = np.pad(spikes, [(0, 0)] * 3 + [(top, bottom), (left, right), (0, 0)])
    kh, kw = layer.kernel
    total = 0
    for tile in range(0, layer.c_tiles, command["group_tiles"]):
        for row in range(0, kh, command["group_rows"]):
            count = np.zeros((*spikes.shape[:2], layer.e, layer.f, lanes), np.int64)
            for c in range(tile, min(tile + command["group_tiles"], layer.c_tiles)):
                for r in range(row, min(row + command["group_rows"], kh)):
                    for s in range(kw):
                        rows = slice(r, r + (layer.e - 1) * layer.stride + 1, layer.stride)
                        columns = slice(s, s + (layer.f - 1) * layer.stride + 1, layer.stride)
                        count += spikes[:, :, c, rows, columns]
            total += int(count.max(axis=-1).sum())
    return layer.m_tiles * total


@cocotb.test()
async def engine_equals_model(dut):
    shape, seed, cases = bench_settings()
    lanes, pixels, format = shape.lanes, shape.pixels, shape.format
    random = np.random.default_rng(seed)
    driver = EngineDriver(dut, FpEngine(shape), DEPTHS)
    await driver.reset()
    for index in range(cases):
        case = case_layer(random, index, lanes)
        layer = case.layer
        dut.stall.value = (0, 0, 100, 200)[index % 4]
        maps = (layer.samples, layer.steps)
        sparsity = (0.0, 0.5, 0.9, 0.99, 1.0)[index % 5]
        x = random.random((*maps, layer.h, layer.w, case.channels_in)) >= sparsity
        w = random_values(
            random,
            (case.channels_out, case.channels_in, *layer.kernel),
            format,
            sparsity=0.1,
            special=0.02 if index % 3 == 2 else 0.0,
            large=index % 4 == 3,
        )
        out_shape = (*maps, layer.e, layer.f, case.channels_out)
        acc = bool(index & 2)
        plane_top = int(random.integers(0, 3))
        plane = int(random.integers(0, plane_top + 1))
        bits = format.psum_bits
        old = random.integers(-1 << (bits - 3), 1 << (bits - 3), out_shape)
        old[random.random(out_shape) < 0.02] = -1 << (bits - 1)

        psum_words = tile_maps(old, lanes)
        spike_words = pack_spikes(x, lanes, pixels)
        weights = tile_weights(w, lanes, format)
        # Away from 0, so that addresses relative to a base are seen to be.
        s_base, psum_base, w_base = (int(b) for b in random.integers(0, 40, 3))
        guard = random.integers(-(1 << 62), 1 << 62, (DEPTHS["conv"], lanes))
        driver.load("conv", guard)
        driver.load("s_in", spike_words.reshape(-1, spike_words.shape[-1]), s_base)
        driver.load("w", weights.reshape(-1, lanes * shape.weight_words), w_base)

        status = Status()
        expected = psum_fp(
            x.astype(np.int64) << (plane_top - plane),
            w,
            stride=layer.stride,
            padding=layer.padding,
            acc=old if acc else None,
            status=status,
            format=format,
        )
        # The layer as a whole, or in strips of its rows.
        parts = [(layer, 0, 0)]
        if index % 3 == 1:
            with suppress(ValueError):
                parts = [
                    (*layer.fp_strip(first, last), first) for first, last in strips(random, layer.e)
                ]
        for skip in (True, False):
            driver.load("conv", psum_words.reshape(-1, lanes), psum_base)
            totals = dict.fromkeys(("busy", "skipped"), 0)
            invalid = False
            for part, begin, first in parts:
                spikes = place(spike_words, s_base)
                psums = place(psum_words, psum_base)
                command = fp_pass(
                    part,
                    shape,
                    spikes=replace(spikes, base=s_base + begin * spikes.row),
                    weights=w_base,
                    psums=replace(psums, base=psum_base + first * psums.row),
                    psum_acc=acc,
                    skip=skip,
                    plane=plane,
                    plane_top=plane_top,
                )
                await driver.run(command)
                assert not driver.statuses["overflow"]
                invalid |= driver.statuses["invalid"]
                for name in totals:
                    totals[name] += driver.counters()[name]
            where = f"case {index} seed {seed} {case} skip {skip} acc {acc}"
            count = psum_words[..., 0].size
            got = driver.fetch("conv", psum_base, count, np.int64).reshape(psum_words.shape)
            want = tile_maps(expected, lanes)
            channels = tile_maps(np.ones_like(expected), lanes) != 0
            wrong = np.argwhere((got != want) & channels)
            assert not len(wrong), (
                f"{where}: {len(wrong)} of {want.size} differ, first at {wrong[0]}: "
                f"{got[tuple(wrong[0])]} for {want[tuple(wrong[0])]}"
            )
            assert invalid == status.invalid, where
            rest = driver.fetch("conv", 0, DEPTHS["conv"], np.int64).reshape(-1, lanes)
            outside = np.ones(len(rest), bool)
            outside[psum_base : psum_base + count] = False
            assert (rest[outside] == guard[outside]).all(), f"{where}: wrote outside its psums"
            if skip:
                assert totals["busy"] == needed_cycles(x, layer, command, lanes), where
                dense = totals["busy"] + totals["skipped"]
            else:
                # Dense cycles that are spent, and those in which no lane has a spike.
                assert totals["busy"] + totals["skipped"] == dense, where
