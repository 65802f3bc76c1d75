"""WG on memories against the model of whole layers, bit for bit in every SRAM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backspike.sim.model import Status, add_dw, encode, psum_wg, read_wg
from backspike.sim.model.machine import run_wg
from scripts.bench.rtl.passes import wg_pass
from tests.hw.conv.cases import draw_case
from tests.hw.wg.cases import tile_dw
from tests.sim.model.machine.maps import CONFIGS, Map, garbage

SEED = 4301


@pytest.mark.parametrize(
    ("config", "cases"),
    list(zip(CONFIGS, (175, 70, 70, 14), strict=True)),
    ids=[config.name for config in CONFIGS],
)
def test_wg_equals_model(config, cases):
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    format, lanes = config.format, config.array.lanes
    for index in range(cases):
        case = draw_case(random, index, lanes, rows="e")
        # Half of those of the convolutions: dw of all tiles must fit.
        layer = replace(case.layer, c_tiles=-(-case.layer.c_tiles // 2))
        before = garbage(random, config)
        direct = random.random() < 0.4
        maps = (layer.samples, layer.steps)
        c, m = layer.c_tiles * lanes, layer.m_tiles * lanes
        c_size, m_size = (int(random.integers(whole - lanes, whole)) + 1 for whole in (c, m))
        spikes = Map.anywhere(
            random,
            before,
            "bp.s",
            (layer.samples, 1 if direct else layer.steps, layer.h, layer.w, c),
        )
        gradients = Map.anywhere(random, before, "bp.du_next", (*maps, layer.e, layer.f, m))
        x = random.random(spikes.shape) >= case.sparsity
        du = case.values(random, gradients.shape, format, sparsity=0.2)
        spikes.put(before, x)
        gradients.put(before, encode(du, format))
        plane = int(random.integers(16)) if random.random() < 0.5 else 0

        status, raised = Status(), Status()
        psum = psum_wg(
            np.broadcast_to(x, (*maps, *x.shape[2:]))[..., :c_size],
            du[..., :m_size],
            kernel=layer.kernel,
            stride=layer.stride,
            padding=layer.padding,
            status=status,
            format=format,
        )
        made = tile_dw(read_wg(psum, plane=plane, status=status, format=format), lanes)
        dw = int(random.integers(len(before.raw["bp.dw"]) - len(made) + 1))
        words = slice(dw, dw + len(made))
        expected = before.copy()
        stored = expected.words("bp.dw").view(np.float32)
        made = made.view(np.float32)
        # What is there to begin with is anything, NaNs and infinities among it.
        there = tile_dw(np.ones((m_size, c_size, *layer.kernel)), lanes) != 0
        old = np.where(there, stored[words], 0.0)
        stored[words] = add_dw(old, made, status=status) if case.acc else made
        command = wg_pass(
            layer,
            lanes=lanes,
            pixels=config.array.spike_pixels,
            spikes=replace(spikes.at, step=0) if direct else spikes.at,
            du=gradients.at,
            dw=dw,
            m_size=m_size,
            c_size=c_size,
            plane=plane,
            dw_acc=case.acc,
            skip=bool(random.integers(2)),
        )
        run_wg(command, before, config, raised)
        what = f"case {index} {case}"
        assert before.differences(expected) == [], what
        assert raised == status, what
