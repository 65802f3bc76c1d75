"""Soma, Grad and vector operations on memories against the model, bit for bit in every SRAM."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hw.neuron.command import Destination, Operation, Source
from hw.neuron.lowering import Area
from hw.neuron.passes import Passes
from sim.model import (
    Status,
    add,
    compare,
    decode,
    encode,
    grad,
    multiply,
    pool_spikes,
    psum_nan,
    read_psum,
    round_values,
    soma,
    subtract,
    to_psum,
)
from sim.model.machine import run_grad, run_soma
from tests.sim.model.machine.maps import CONFIGS, Map, garbage, random_psums

SEED = 4501
SIZES = [(1, 1), (1, 9), (5, 7), (7, 4), (6, 6), (9, 21), (2, 3)]
OPERATIONS = {
    Operation.ADD: add,
    Operation.SUBTRACT: subtract,
    Operation.MULTIPLY: multiply,
}
FEWER = {"small": 5, "narrow": 5, "full": 11}
"""Formats and sizes but the first do with one case of so many; coprime to all that alternates."""
each_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


class Scene:
    """A case: memories, what they should hold afterwards, and statuses of both."""

    def __init__(self, random, config, area: Area, *, products: bool, wild: bool):
        self.random, self.config, self.area = random, config, area
        self.format, lanes = config.format, config.array.lanes
        self.passes = Passes(lanes=lanes, pixels=config.array.spike_pixels, format=self.format)
        self.memories = garbage(random, config)
        format = self.format
        self.grid = {"bits": format.psum_bits, "lsb": format.lsb}
        if products:
            self.grid = {"bits": format.product_psum_bits, "lsb": format.product_lsb}
        for name in ("fp.conv_fp", "bp.conv_bp"):
            words = self.memories.words(name)
            words[:] = random_psums(random, words.shape, self.grid["bits"])
            if not wild:
                words[:] = np.ldexp(self.tame(words.shape), -self.grid["lsb"])
        if not wild:  # numbers of a network's size
            for name in ("fp.u", "bp.u", "bp.du"):
                words = self.memories.words(name)
                words[:] = encode(self.tame(words.shape), format)
        self.model, self.raised = Status(), Status()

    def tame(self, shape):
        return round_values(np.round(self.random.normal(0, 1, shape) * 8) / 8, self.format)

    def map(self, sram: str, *, pooled: bool = False, beside: Map | None = None) -> Map:
        """A map of the area, or of its pooled size, anywhere, or off the words of another."""
        area, p = self.area, self.area.pooling if pooled else 1
        shape = (area.samples, 1, area.h_size // p, area.w_size // p, area.m_size)
        while True:
            found = Map.anywhere(self.random, self.memories, sram, shape)
            if beside is None or not found.overlaps(beside):
                return found

    def values(self, at: Map):
        return decode(at.get(self.memories), self.format)

    def psums(self, at: Map, scale: int = 0):
        psums = at.get(self.memories)
        return read_psum(psums, **self.grid, scale=scale, status=self.model, format=self.format)

    def number(self, *numbers):
        """One of a few numbers, as the format has it, and its code."""
        value = round_values(self.random.choice(numbers), self.format)
        return float(value), int(encode(value, self.format))

    def check(self, run, command, expected, what: str) -> None:
        run(command, self.memories, self.config, self.raised)
        assert self.memories.differences(expected) == [], what
        assert self.raised == self.model, what


def areas(random, lanes: int):
    """Maps of all kinds: pooling, odd and not square, tiles, channels off the tile, samples."""
    for (height, width), pooling in itertools.product(SIZES, (1, 2, 3, 4)):
        m_size = int(random.choice([1, lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + 1]))
        yield Area(
            h_size=height,
            w_size=width,
            m_size=m_size,
            pooling=pooling,
            samples=int(random.choice([1, 1, 2, 3])),
        )


def steps(config, *, products: bool):
    """Scenes of a neuron's step, with t_acc."""
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    flags = itertools.product((False, True), repeat=2)
    cases = itertools.product(areas(random, config.array.lanes), flags)
    for area, (t_acc, wild) in itertools.islice(cases, 0, None, FEWER.get(config.name, 1)):
        yield Scene(random, config, area, products=products, wild=wild), t_acc


def whole_windows(area: Area) -> bool:
    return min(area.h_size, area.w_size) >= area.pooling


@each_config
def test_soma_equals_model(config):
    for scene, t_acc in steps(config, products=False):
        area, format = scene.area, scene.format
        conv, u_prev, spike_prev = (scene.map(f"fp.{name}") for name in ("conv_fp", "u", "spike"))
        in_place = bool(scene.random.integers(2))
        u = u_prev if in_place else scene.map("fp.u", beside=u_prev)
        spike = spike_prev if in_place else scene.map("fp.spike", beside=spike_prev)
        s_out = scene.map("fp.s_out", pooled=True)
        planes = int(scene.random.choice([0, 4]))
        alpha, alpha_code = scene.number(0.5, 0.9, 1.0)
        th_f, th_code = scene.number(1.0, 0.0, 0.25)
        made = soma(
            scene.psums(conv, planes),
            scene.values(u_prev),
            spike_prev.get(scene.memories),
            alpha=alpha,
            th_f=th_f,
            status=scene.model,
            t_acc=t_acc,
            format=format,
        )
        expected = scene.memories.copy()
        u.put(expected, encode(made.u, format))
        spike.put(expected, made.s)
        if whole_windows(area):
            s_out.put(expected, pool_spikes(made.s, area.pooling))
        command = scene.passes.soma(
            area,
            t_acc=t_acc,
            alpha=alpha_code,
            th_f=th_code,
            planes=planes,
            conv=conv.at,
            u_prev=u_prev.at,
            spike_prev=spike_prev.at,
            u=u.at,
            spike=spike.at,
            s_out=s_out.at,
        )
        scene.check(run_soma, command, expected, f"{area} {t_acc=}")


@each_config
def test_grad_equals_model(config):
    for scene, t_acc in steps(config, products=True):
        area, format, p = scene.area, scene.format, scene.area.pooling
        conv, s_out = scene.map("bp.conv_bp", pooled=True), scene.map("bp.s", pooled=True)
        u, du_next = scene.map("bp.u"), scene.map("bp.du")
        du = du_next if scene.random.integers(2) else scene.map("bp.du", beside=du_next)
        alpha, alpha_code = scene.number(0.5, 0.9, 1.0)
        th_f, th_f_code = scene.number(1.0, 0.25)
        th_l, th_l_code = scene.number(0.0, 0.5, -np.inf)
        th_r, th_r_code = scene.number(2.0, 1.5, np.inf)
        potentials = scene.values(u)
        gradients = np.zeros(potentials.shape)
        if whole_windows(area):
            s_out.put(scene.memories, pool_spikes(potentials >= th_f, p))
            gradients = scene.psums(conv)
        made = grad(
            gradients,
            scene.values(du_next),
            potentials,
            alpha=alpha,
            th_f=th_f,
            th_l=th_l,
            th_r=th_r,
            status=scene.model,
            pool=p if whole_windows(area) else 1,
            t_acc=t_acc,
            format=format,
        )
        expected = scene.memories.copy()
        du.put(expected, encode(made, format))
        command = scene.passes.grad(
            area,
            t_acc=t_acc,
            alpha=alpha_code,
            th_f=th_f_code,
            th_l=th_l_code,
            th_r=th_r_code,
            conv=conv.at,
            u=u.at,
            du=du.at,
            du_next=du_next.at,
            s_out=s_out.at,
        )
        scene.check(run_grad, command, expected, f"{area} {t_acc=}")


def test_pooled_spikes_decide_who_gets_the_gradient():
    """As in the hardware, also where they are not those of the potentials."""
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    area = Area(h_size=7, w_size=9, m_size=7, pooling=2)
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
    scene.check(run_grad, command, expected, "pooled")


def kinds(sources):
    """Every vector operation on every pair of operands, to every destination."""
    for operation, x, y in itertools.product(OPERATIONS, sources, sources):
        for to in (Destination.MAP, Destination.CONV):
            yield operation, x, y, to
    for x in sources:
        yield Operation.COMPARE, x, None, Destination.BITS


ENGINES = {
    "soma": (
        run_soma,
        {Source.CONV: "fp.conv_fp", Source.U: "fp.u", Source.BITS: "fp.spike"},
        {Destination.MAP: "fp.u", Destination.CONV: "fp.conv_fp", Destination.BITS: "fp.spike"},
    ),
    "grad": (
        run_grad,
        {Source.CONV: "bp.conv_bp", Source.U: "bp.u", Source.BITS: "bp.s", Source.DU: "bp.du"},
        {Destination.MAP: "bp.du", Destination.CONV: "bp.conv_bp", Destination.BITS: "bp.s"},
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@each_config
def test_vector_operations_equal_model(config, engine):
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    run, names, targets = ENGINES[engine]
    geometries = [area for area in areas(random, config.array.lanes) if area.pooling == 1]
    cases = enumerate(kinds((*names, Source.SCALAR)))
    for number, kind in itertools.islice(cases, 0, None, FEWER.get(config.name, 1)):
        area = geometries[random.integers(len(geometries))]
        wild = number % 3 == 2
        scene = Scene(random, config, area, products=engine == "grad", wild=wild)
        vector_operation(scene, engine, run, kind, names, targets, in_place=number % 2 == 1)


def vector_operation(scene: Scene, engine: str, run, kind, names, targets, *, in_place: bool):
    operation, x, y, to = kind
    used = {x, y} - {None, Source.SCALAR}
    reads = {source: scene.map(names[source]) for source in used}
    held = next((each for each in reads.values() if each.sram == targets[to]), None)
    write = held if held and in_place else scene.map(targets[to], beside=held)
    planes = int(scene.random.choice([0, 3])) if engine == "soma" else 0
    scalar, scalar_code = scene.number(0.25, -1.0, 0.0, 3.0)
    low, low_code = scene.number(-0.5, 0.0, 0.25)
    high, high_code = scene.number(0.25, 1.0, np.inf)

    def operand(source):
        if source is Source.SCALAR:
            return np.full(write.shape, scalar)
        if source is Source.CONV:
            return scene.psums(reads[source], planes)
        if source is Source.BITS:
            return reads[source].get(scene.memories).astype(float)
        return scene.values(reads[source])

    if operation is Operation.COMPARE:
        result = compare(operand(x), low, high)
    else:
        result = OPERATIONS[operation](
            operand(x), operand(y), status=scene.model, format=scene.format
        )
        if to is Destination.CONV:
            result = to_psum(result, **scene.grid)
        else:
            result = encode(result, scene.format)
    expected = scene.memories.copy()
    write.put(expected, result)
    build = scene.passes.soma_vector if engine == "soma" else scene.passes.grad_vector
    command = build(
        scene.area,
        operation,
        x=x,
        y=y,
        to=to,
        write=write.at,
        scalar=scalar_code,
        low=low_code,
        high=high_code,
        **({"planes": planes} if engine == "soma" else {}),
        **{source.name.lower(): each.at for source, each in reads.items()},
    )
    name = y.name if y else ""
    scene.check(run, command, expected, f"{operation.name} {x.name} {name} to {to.name}")


@each_config
def test_psums_are_read_as_the_low_bits_of_their_lane(config):
    """Where more than a psum stands in a lane, as no engine leaves it."""
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    area = Area(h_size=3, w_size=5, m_size=config.array.lanes)
    scene = Scene(random, config, area, products=False, wild=True)
    conv, u = scene.map("fp.conv_fp"), scene.map("fp.u")
    psums = conv.get(scene.memories)
    above = 1 << scene.grid["bits"]
    litter = random.integers(0, (1 << 62) // above, psums.shape) * above
    conv.put(scene.memories, np.where(psums == psum_nan(scene.grid["bits"]), psums, psums ^ litter))
    result = read_psum(psums, **scene.grid, status=scene.model, format=scene.format)
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
    scene.check(run_soma, command, expected, "low bits")
