"""BP engine against the model: without it a wrong gradient of any shape would go unnoticed."""

from __future__ import annotations

import cocotb
import numpy as np

from backspike.compiler.lowering.words import codes_dtype, layout_of, tile_maps, tile_weights
from backspike.hw.bp.engine import BpEngine
from backspike.sim.harness.driver import EngineDriver
from backspike.sim.model import Status, encode, psum_bp
from scripts.bench.rtl.passes import bp_passes
from tests.hw.bp.test_engine import DEPTHS
from tests.hw.conv.cases import Seen, draw_case, littered, under_tap
from tests.hw.conv.psum_checks import check_counts, check_psums, from_row
from tests.hw.launch import bench_settings


def expected_counts(du, mask, layer, lanes, skip):
    """What the counters must say, from the data alone."""
    top, bottom, left, right = layer.padding
    edges = [(top, bottom), (left, right)]
    inside = np.pad(np.ones((layer.h, layer.w), np.int64), edges)
    values = tile_maps(du != 0, lanes).sum(axis=-1)
    fire = np.pad(tile_maps(mask, lanes).any(axis=-1), [(0, 0)] * 3 + edges)
    dense = busy = taken = 0
    for tap in np.ndindex(*layer.kernel):
        rows, columns = under_tap(layer, *tap)
        # Axes: maps (two), input tile of BP (m), output tile (c), y, x.
        fires = fire[:, :, None, :, rows, columns]
        there = values[:, :, :, None]
        present = np.broadcast_to(
            inside[rows, columns], np.broadcast_shapes(fires.shape, there.shape)
        )
        dense += present.sum()
        busy += (present * fires * (there > 0)).sum()
        taken += (present * (fires if skip else 1) * there).sum()
    busy = busy if skip else dense
    return {"busy": busy, "skipped": dense - busy, "lanes": taken}


@cocotb.test()
async def engine_equals_model(dut):
    shape, seed, cases = bench_settings()
    lanes, pixels, format = shape.lanes, shape.pixels, shape.format
    random = np.random.default_rng(seed)
    seen = Seen()
    driver = EngineDriver(dut, BpEngine(shape), DEPTHS)
    await driver.reset()
    for index in range(cases):
        case = draw_case(random, index, lanes, rows="h")
        layer, acc = case.layer, case.acc
        dut.stall.value = case.stall
        maps = (layer.samples, layer.steps)
        du_shape = (*maps, layer.e, layer.f, case.channels_out)
        du = case.values(random, du_shape, format, sparsity=case.sparsity)
        w = case.weights(random, format)
        out_shape = (*maps, layer.h, layer.w, case.channels_in)
        density = random.choice([None, 0.0, 0.1, 0.5, 0.9])
        masked = density is not None
        mask = random.random(out_shape) < (density if masked else 1)
        old = random.integers(-(1 << 40), 1 << 40, out_shape)
        old[random.random(out_shape) < 0.02] = -1 << (format.product_psum_bits - 1)
        if acc and format.product_psum_bits < 60:
            old = np.clip(old, -1 << (format.product_psum_bits - 1), 1 << 30)

        du_words = encode(tile_maps(du, lanes), format)
        du_words = du_words.astype(codes_dtype(format))
        psum_words = tile_maps(old, lanes)
        fire_words = littered(random, mask, lanes, pixels)
        weights = tile_weights(w, lanes, format)
        # Away from 0, so that addresses relative to a base are seen to be.
        du_base, psum_base, fire_base, w_base = (int(b) for b in random.integers(0, 40, 4))
        places = {
            "du": layout_of(du_words, du_base),
            "psums": layout_of(psum_words, psum_base),
            "fire": layout_of(fire_words, fire_base) if masked else None,
        }
        flat = du_words.reshape(-1, lanes)
        driver.load("du", flat, du_base)
        bits = np.zeros(DEPTHS["nonzero"] * pixels, np.uint8)
        magnitude = (1 << (format.width - 1)) - 1
        bits[du_base : du_base + len(flat)] = (flat & magnitude).any(axis=1)
        driver.load("nonzero", np.packbits(bits.reshape(-1, pixels), axis=1, bitorder="little"))
        guard = random.integers(-(1 << 62), 1 << 62, (DEPTHS["conv"], lanes))
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
        seen.add(case, density=density)
        for skip in (True, False):
            commands = [
                command
                for part, begin, first in case.parts()
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
            where = f"case {index} seed {seed} {case} skip {skip} acc {acc}"
            counters = await check_psums(
                driver,
                commands,
                where,
                old=psum_words,
                expected=tile_maps(expected, lanes),
                # A gradient that is no number meets the weights of lanes without a channel, too.
                compared=tile_maps(np.ones_like(expected), lanes) != 0,
                base=psum_base,
                guard=guard,
                status=status,
            )
            check_counts(counters, expected_counts(du, mask, layer, lanes, skip), where)
    seen.check()
