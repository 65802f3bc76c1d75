"""FP and BP on memories against the model of whole layers, bit for bit in every SRAM."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.layout import Layout
from backspike.compiler.lowering.words import tile_weights
from backspike.hw.isa.conv.shape import EngineShape
from backspike.sim.model import Status, encode, psum_bp, psum_fp
from backspike.sim.model.machine import run_bp, run_fp
from scripts.bench.rtl.passes import bp_passes, fp_pass
from tests.hw.conv.cases import draw_case, random_values
from tests.sim.model.machine.maps import CONFIGS, Map, garbage, random_psums, write_weights

SEED = 4201
CASES = list(zip(CONFIGS, (175, 70, 70, 14), strict=True))
NAMES = [config.name for config in CONFIGS]


def whole_tiles(layer: ConvLayer, lanes: int) -> tuple[int, int]:
    """Input and output channels, without any left over."""
    return layer.c_tiles * lanes, layer.m_tiles * lanes


def random_weights(random, case, lanes, format):
    c, m = whole_tiles(case.layer, lanes)
    return case.values(random, (m, c, *case.layer.kernel), format, sparsity=0.1)


@pytest.mark.parametrize(("config", "cases"), CASES, ids=NAMES)
def test_fp_equals_model(config, cases):
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    shape, format, lanes = EngineShape.from_config(config), config.format, config.array.lanes
    for index in range(cases):
        case = draw_case(random, index, lanes, rows="e")
        layer = case.layer
        c, m = whole_tiles(layer, lanes)
        before = garbage(random, config)
        maps = (layer.samples, layer.steps)
        spikes = Map.anywhere(random, before, "fp.s_in", (*maps, layer.h, layer.w, c))
        psums = Map.anywhere(random, before, "fp.conv_fp", (*maps, layer.e, layer.f, m))
        x = random.random(spikes.shape) >= case.sparsity
        w = random_weights(random, case, lanes, format)
        old = random_psums(random, psums.shape, format.psum_bits)
        w_base = int(random.integers(40))
        spikes.put(before, x)
        psums.put(before, old)
        write_weights(before, "fp.w", tile_weights(w, lanes, format), w_base)
        plane_top = int(random.integers(0, 3))
        plane = int(random.integers(0, plane_top + 1))

        status, raised = Status(), Status()
        expected = before.copy()
        made = psum_fp(
            x.astype(np.int64) << (plane_top - plane),
            w,
            stride=layer.stride,
            padding=layer.padding,
            acc=old if case.acc else None,
            status=status,
            format=format,
        )
        psums.put(expected, made)
        parts = [(layer, 0, 0)]
        if case.strips:
            parts = [(*layer.fp_strip(first, last), first) for first, last in case.strips]
        for part, begin, first in parts:
            command = fp_pass(
                part,
                shape,
                spikes=spikes.from_row(begin),
                weights=w_base,
                psums=psums.from_row(first),
                psum_acc=case.acc,
                skip=bool(random.integers(2)),
                plane=plane,
                plane_top=plane_top,
            )
            run_fp(command, before, config, raised)
        what = f"case {index} {case}"
        assert before.differences(expected) == [], what
        assert raised == status, what


@pytest.mark.parametrize(("config", "cases"), CASES, ids=NAMES)
def test_bp_equals_model(config, cases):
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    shape, format, lanes = EngineShape.from_config(config), config.format, config.array.lanes
    for index in range(cases):
        case = draw_case(random, index, lanes, rows="h")
        layer = case.layer
        c, m = whole_tiles(layer, lanes)
        before = garbage(random, config)
        maps = (layer.samples, layer.steps)
        places = {
            "du": Map.anywhere(random, before, "bp.du_next", (*maps, layer.e, layer.f, m)),
            "psums": Map.anywhere(random, before, "bp.conv_bp", (*maps, layer.h, layer.w, c)),
            "fire": Map.anywhere(random, before, "bp.s", (*maps, layer.h, layer.w, c)),
        }
        du = case.values(random, places["du"].shape, format, sparsity=case.sparsity)
        w = random_weights(random, case, lanes, format)
        masked = bool(random.integers(2))
        mask = random.random(places["fire"].shape) < random.choice([0.0, 0.1, 0.5, 0.9])
        old = random_psums(random, places["psums"].shape, format.product_psum_bits)
        w_base = int(random.integers(40))
        places["du"].put(before, encode(du, format))
        places["psums"].put(before, old)
        places["fire"].put(before, mask)
        write_weights(before, "bp.w", tile_weights(w, lanes, format), w_base)

        status, raised = Status(), Status()
        expected = before.copy()
        made = psum_bp(
            du,
            w,
            size=(layer.h, layer.w),
            stride=layer.stride,
            padding=layer.padding,
            mask=mask if masked else None,
            acc=old if case.acc else None,
            status=status,
            format=format,
        )
        places["psums"].put(expected, made)
        parts = [(layer, 0, 0)]
        if case.strips:
            parts = [(*layer.bp_strip(first, last), first) for first, last in case.strips]
        for part, begin, first in parts:
            commands = bp_passes(
                part,
                shape,
                du=places["du"].from_row(begin),
                weights=w_base,
                psums=places["psums"].from_row(first),
                fire=places["fire"].from_row(first) if masked else None,
                psum_acc=case.acc,
                skip=bool(random.integers(2)),
            )
            for command in commands:
                run_bp(command, before, config, raised)
        what = f"case {index} {case}"
        assert before.differences(expected) == [], what
        assert raised == status, what


def visited_psums(random, psums: Map, memories, added, busy, bits: int):
    """Fills psums with anything, and says what the hardware makes of it.

    Below the litter some are NaN, and some as large as can be, so that sums wrap. What lies beyond
    the psum's bits is lost where a pixel is visited, and stays elsewhere.
    """
    half = 1 << (bits - 1)
    old = psums.get(memories)
    for low in (half, half - 1):
        old = np.where(random.random(old.shape) < 0.2, old & ~(2 * half - 1) | low, old)
    psums.put(memories, old)

    def total(psum: int, more: int, visited: bool) -> int:
        low = (psum + half) % (2 * half) - half
        if not visited or low == -half:
            return low if visited else psum
        return (low + more + half) % (2 * half) - half

    made = np.vectorize(total, otypes=[object])(old.astype(object), added.astype(object), busy)
    expected = memories.copy()
    psums.put(expected, made.astype(np.int64))
    return expected


LAYER = ConvLayer(h=9, w=9, kernel=(3, 3), padding=(1, 1, 1, 1))


@pytest.mark.parametrize("skip", [True, False])
def test_fp_visits_only_pixels_at_work(skip):
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    config = CONFIGS[0]
    lanes, format = config.array.lanes, config.format
    memories = garbage(random, config)
    spikes, psums = (
        Map.anywhere(random, memories, sram, (1, 1, 9, 9, lanes))
        for sram in ("fp.s_in", "fp.conv_fp")
    )
    x = random.random(spikes.shape) < 0.02
    w = random_values(random, (lanes, lanes, 3, 3), format)
    spikes.put(memories, x)
    write_weights(memories, "fp.w", tile_weights(w, lanes, format), 0)
    added = psum_fp(x, w, padding=LAYER.padding, status=Status())
    busy = psum_fp(x, np.ones_like(w), padding=LAYER.padding, status=Status()) > 0
    assert 0 < busy.sum() < busy.size
    busy |= not skip
    expected = visited_psums(random, psums, memories, added, busy, format.psum_bits)
    where = {"spikes": spikes.at, "weights": 0, "psums": psums.at}
    shape = EngineShape.from_config(config)
    run_fp(fp_pass(LAYER, shape, **where, psum_acc=True, skip=skip), memories, config, Status())
    assert memories.differences(expected) == []


@pytest.mark.parametrize("skip", [True, False])
def test_bp_visits_only_pixels_at_work(skip):
    """One with no fire in any lane is not, unless nothing is skipped."""
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    config = CONFIGS[1]
    lanes, format = config.array.lanes, config.format
    memories = garbage(random, config)
    gradients, psums, fire = (
        Map.anywhere(random, memories, sram, (1, 1, 9, 9, lanes))
        for sram in ("bp.du_next", "bp.conv_bp", "bp.s")
    )
    du = random_values(random, gradients.shape, format, sparsity=0.97)
    w = random_values(random, (lanes, lanes, 3, 3), format)
    mask = random.random(fire.shape) < 0.2
    gradients.put(memories, encode(du, format))
    fire.put(memories, mask)
    write_weights(memories, "bp.w", tile_weights(w, lanes, format), 0)
    sums = {"size": (9, 9), "padding": LAYER.padding, "status": Status(), "format": format}
    added = psum_bp(du, w, mask=mask, **sums)
    reached = psum_bp((du != 0) * 1.0, np.ones_like(w), **sums) > 0
    firing = np.broadcast_to(mask.any(axis=-1, keepdims=True), mask.shape)
    assert (reached & ~firing).any() and (reached & firing & ~mask).any()
    busy = reached & firing | (not skip)
    expected = visited_psums(random, psums, memories, added, busy, format.product_psum_bits)
    where = {"du": gradients.at, "weights": 0, "psums": psums.at, "fire": fire.at}
    shape = EngineShape.from_config(config)
    for command in bp_passes(LAYER, shape, **where, psum_acc=True, skip=skip):
        run_bp(command, memories, config, Status())
    assert memories.differences(expected) == []


def test_too_many_terms_are_refused():
    config = CONFIGS[0]
    layer = ConvLayer(h=7, w=7, kernel=(7, 7), c_tiles=8)
    command = fp_pass(
        layer, EngineShape.from_config(config), spikes=Layout(), weights=0, psums=Layout()
    )
    memories = garbage(np.random.default_rng(SEED), config)
    with pytest.raises(ValueError, match=r"a sum of FP must have at most 2\*\*17 = 131072 terms"):
        run_fp({**command, "shift": 10}, memories, config, Status())
