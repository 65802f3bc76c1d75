"""FP engine against the model: without it a wrong sum of any shape would go unnoticed."""

from __future__ import annotations

import cocotb
import numpy as np

from backspike.compiler.lowering.words import layout_of, tile_maps, tile_weights
from backspike.hw.fp.engine import FpEngine
from backspike.sim.harness.driver import EngineDriver
from backspike.sim.model import Status, psum_fp
from scripts.bench.rtl.passes import fp_pass
from tests.hw.conv.cases import Seen, draw_case, littered, under_tap
from tests.hw.conv.psum_checks import check_counts, check_psums, from_row
from tests.hw.fp.test_engine import DEPTHS
from tests.hw.launch import bench_settings


def group_scans(x, layer, command, lanes):
    """For each group: at each output pixel, spikes of the busiest lane, and entries in the map."""
    spikes = tile_maps(x, lanes).astype(np.int64)
    inside = np.ones(spikes.shape[3:5], np.int64)
    top, bottom, left, right = layer.padding
    spikes = np.pad(spikes, [(0, 0)] * 3 + [(top, bottom), (left, right), (0, 0)])
    inside = np.pad(inside, [(top, bottom), (left, right)])
    kh, kw = layer.kernel
    for tile in range(0, layer.c_tiles, command["group_tiles"]):
        tiles = range(tile, min(tile + command["group_tiles"], layer.c_tiles))
        for row in range(0, kh, command["group_rows"]):
            count = np.zeros((*spikes.shape[:2], layer.e, layer.f, lanes), np.int64)
            present = np.zeros((layer.e, layer.f), np.int64)
            for r in range(row, min(row + command["group_rows"], kh)):
                for s in range(kw):
                    rows, columns = under_tap(layer, r, s)
                    present += len(tiles) * inside[rows, columns]
                    for c in tiles:
                        count += spikes[:, :, c, rows, columns]
            yield count, np.broadcast_to(present, count.shape[:-1])


def expected_counts(x, layer, command, lanes):
    """What the counters must say, from the data alone."""
    counts = dict.fromkeys(("busy", "skipped", "lanes", "conv_reads", "conv_writes"), 0)
    for group, (spikes, present) in enumerate(group_scans(x, layer, command, lanes)):
        cycles = spikes.max(axis=-1) if command["skip"] else present
        from_zero = group == 0 and not command["psum_acc"]
        counts["busy"] += cycles.sum()
        counts["skipped"] += (present - cycles).sum()
        counts["lanes"] += spikes.sum()
        counts["conv_reads"] += 0 if from_zero else (cycles > 0).sum()
        counts["conv_writes"] += ((cycles > 0) | from_zero).sum()
    return {name: layer.m_tiles * int(count) for name, count in counts.items()}


@cocotb.test()
async def engine_equals_model(dut):
    shape, seed, cases = bench_settings()
    lanes, pixels, format = shape.lanes, shape.pixels, shape.format
    random = np.random.default_rng(seed)
    seen = Seen()
    driver = EngineDriver(dut, FpEngine(shape), DEPTHS)
    await driver.reset()
    for index in range(cases):
        case = draw_case(random, index, lanes, rows="e")
        layer, acc = case.layer, case.acc
        dut.stall.value = case.stall
        maps = (layer.samples, layer.steps)
        x = random.random((*maps, layer.h, layer.w, case.channels_in)) >= case.sparsity
        w = case.weights(random, format)
        out_shape = (*maps, layer.e, layer.f, case.channels_out)
        plane_top = int(random.integers(0, 3))
        plane = int(random.integers(0, plane_top + 1))
        bits = format.psum_bits
        old = random.integers(-1 << (bits - 3), 1 << (bits - 3), out_shape)
        old[random.random(out_shape) < 0.02] = -1 << (bits - 1)

        psum_words = tile_maps(old, lanes)
        spike_words = littered(random, x, lanes, pixels)
        weights = tile_weights(w, lanes, format)
        # Away from 0, so that addresses relative to a base are seen to be.
        s_base, psum_base, w_base = (int(b) for b in random.integers(0, 40, 3))
        guard = random.integers(-(1 << 62), 1 << 62, (DEPTHS["conv"], lanes))
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
        spikes, psums = layout_of(spike_words, s_base), layout_of(psum_words, psum_base)
        seen.add(case, plane=plane)
        for skip in (True, False):
            commands = [
                fp_pass(
                    part,
                    shape,
                    spikes=from_row(spikes, begin),
                    weights=w_base,
                    psums=from_row(psums, first),
                    psum_acc=acc,
                    skip=skip,
                    plane=plane,
                    plane_top=plane_top,
                )
                for part, begin, first in case.parts()
            ]
            where = f"case {index} seed {seed} {case} skip {skip} acc {acc}"
            counters = await check_psums(
                driver,
                commands,
                where,
                old=psum_words,
                expected=tile_maps(expected, lanes),
                compared=np.bool_(True),
                base=psum_base,
                guard=guard,
                status=status,
            )
            check_counts(counters, expected_counts(x, layer, commands[-1], lanes), where)
    seen.check()
