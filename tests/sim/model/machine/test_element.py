"""Soma, Grad and vector operations on memories against the model, bit for bit in every SRAM."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from backspike.compiler.lowering.neuron import NeuronArea
from backspike.hw.isa.neuron.command import Operation, Source
from backspike.sim.model import Status, encode, psum_nan, read_psum
from backspike.sim.model.machine import run_grad, run_soma
from tests.sim.model.machine.elements import (
    Pass,
    Scene,
    areas,
    grad_step,
    kinds,
    soma_step,
    vector_pass,
)
from tests.sim.model.machine.maps import CONFIGS

SEED = 4501
FEWER = {"small": 5, "narrow": 5, "full": 11}
"""Formats and sizes but the first do with one case of so many; coprime to all that alternates."""
RUN = {"soma": run_soma, "grad": run_grad}
each_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


def check(scene: Scene, run, made: Pass) -> None:
    """Runs it, and compares all memories and the statuses."""
    status = Status()
    run(made.command, scene.memories, scene.config, status)
    assert scene.memories.differences(made.expected) == [], made.what
    assert status == scene.status, made.what


@pytest.mark.parametrize("engine, step", [("soma", soma_step), ("grad", grad_step)])
@each_config
def test_steps_equal_model(config, engine, step):
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    flags = itertools.product((False, True), repeat=2)
    cases = itertools.product(areas(random, config.array.lanes), flags)
    for area, (t_acc, wild) in itertools.islice(cases, 0, None, FEWER.get(config.name, 1)):
        scene = Scene(random, config, area, products=engine == "grad", wild=wild)
        check(scene, RUN[engine], step(scene, t_acc))


@pytest.mark.parametrize("engine", RUN)
@each_config
def test_vector_operations_equal_model(config, engine):
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    geometries = [area for area in areas(random, config.array.lanes) if area.pooling == 1]
    cases = enumerate(kinds(engine))
    for number, kind in itertools.islice(cases, 0, None, FEWER.get(config.name, 1)):
        area = geometries[random.integers(len(geometries))]
        scene = Scene(random, config, area, products=engine == "grad", wild=number % 3 == 2)
        check(scene, RUN[engine], vector_pass(scene, engine, kind, in_place=number % 2 == 1))


def test_pooled_spikes_decide_who_gets_the_gradient():
    """As in the hardware, also where they are not those of the potentials."""
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    area = NeuronArea(h_size=7, w_size=9, m_size=7, pooling=2)
    scene = Scene(random, CONFIGS[0], area, products=True, wild=False)
    conv, s_out = scene.map("bp.conv_bp", pooled=True), scene.map("bp.s", pooled=True)
    u, du = scene.map("bp.u"), scene.map("bp.du")
    gradients, potentials = scene.psums(conv), scene.values(u)
    pooled = random.random(s_out.shape) < 0.5
    s_out.put(scene.memories, pooled)
    made = np.zeros(potentials.shape)
    for n, t, y, x, c in np.ndindex(*s_out.shape):
        window = [(2 * y, 2 * x), (2 * y, 2 * x + 1), (2 * y + 1, 2 * x), (2 * y + 1, 2 * x + 1)]
        spiking = [at for at in window if potentials[n, t, *at, c] >= 1.0]
        chosen = spiking[:1] if pooled[n, t, y, x, c] else window[:1]
        for at in chosen:
            made[n, t, *at, c] = gradients[n, t, y, x, c]
    expected = scene.memories.copy()
    du.put(expected, encode(made, scene.format))
    code = {number: int(encode(number)) for number in (1.0, -np.inf, np.inf)}
    command = scene.passes.grad(
        area,
        t_acc=False,
        alpha=0,
        th_f=code[1.0],
        th_l=code[-np.inf],
        th_r=code[np.inf],
        conv=conv.at,
        u=u.at,
        du=du.at,
        s_out=s_out.at,
    )
    check(scene, run_grad, Pass("pooled", command, expected, {}))


@each_config
def test_psums_are_read_as_the_low_bits_of_their_lane(config):
    """Where more than a psum stands in a lane, as no engine leaves it."""
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    area = NeuronArea(h_size=3, w_size=5, m_size=config.array.lanes)
    scene = Scene(random, config, area, products=False, wild=True)
    conv, u = scene.map("fp.conv_fp"), scene.map("fp.u")
    psums = conv.get(scene.memories)
    above = 1 << scene.grid["bits"]
    litter = random.integers(0, (1 << 62) // above, psums.shape) * above
    conv.put(scene.memories, np.where(psums == psum_nan(scene.grid["bits"]), psums, psums ^ litter))
    result = read_psum(psums, **scene.grid, status=scene.status, format=scene.format)
    expected = scene.memories.copy()
    u.put(expected, encode(result, scene.format))
    command = scene.passes.soma_vector(
        area,
        Operation.ADD,
        x=Source.CONV,
        y=Source.SCALAR,
        scalar=int(encode(-0.0, scene.format)),
        conv=conv.at,
        write=u.at,
    )
    check(scene, run_soma, Pass("low bits", command, expected, {}))
