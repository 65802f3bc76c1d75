"""Steps of Soma and Grad, and vector operations, on maps anywhere, and what becomes of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from backspike.compiler.lowering.neuron import NeuronArea
from backspike.hw.isa.neuron.command import Destination, Operation, Source
from backspike.hw.neuron.element import CONVERT_LANES
from backspike.sim.model import (
    Status,
    add,
    compare,
    decode,
    encode,
    grad,
    multiply,
    pool_spikes,
    read_psum,
    round_values,
    soma,
    subtract,
    to_psum,
)
from backspike.sim.model.machine import Memories
from tests.backspike.compiler.lowering.passes import Passes
from tests.sim.model.machine.maps import Map, garbage, random_psums

__all__ = ["SOURCES", "Pass", "Scene", "areas", "grad_step", "kinds", "soma_step", "vector_pass"]

SIZES = [(1, 1), (1, 9), (5, 7), (7, 4), (6, 6), (4, 21), (2, 3)]
OPERATIONS = {
    Operation.ADD: add,
    Operation.SUBTRACT: subtract,
    Operation.MULTIPLY: multiply,
}
SOURCES = {
    "soma": {Source.CONV: "fp.conv_fp", Source.U: "fp.u", Source.BITS: "fp.spike"},
    "grad": {
        Source.CONV: "bp.conv_bp",
        Source.U: "bp.u",
        Source.BITS: "bp.s",
        Source.DU: "bp.du",
    },
}
"""The SRAMs of the operands of vector operations, by the engine that does them."""
TARGETS = {
    "soma": {
        Destination.MAP: "fp.u",
        Destination.CONV: "fp.conv_fp",
        Destination.BITS: "fp.spike",
    },
    "grad": {Destination.MAP: "bp.du", Destination.CONV: "bp.conv_bp", Destination.BITS: "bp.s"},
}


class Pass(NamedTuple):
    """A command of Soma or Grad, and what it makes of the memories of a scene."""

    what: str
    command: Mapping[str, object]
    expected: Memories
    accesses: Mapping[str, int]
    """Words that it reads and writes, by SRAM and kind, e.g. ``fp.u_reads``."""


class Scene:
    """A case: memories full of numbers, and the statuses that what is done with them sets."""

    def __init__(self, random, config, area: NeuronArea, *, products: bool, wild: bool):
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
        self.status = Status()

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
        return read_psum(psums, **self.grid, scale=scale, status=self.status, format=self.format)

    def number(self, *numbers):
        """One of a few numbers, as the format has it, and its code."""
        value = round_values(self.random.choice(numbers), self.format)
        return float(value), int(encode(value, self.format))

    @property
    def pixels(self) -> int:
        """Words of a map of values."""
        area = self.area
        tiles = -(-area.m_size // self.config.array.lanes)
        return area.samples * area.h_size * area.w_size * tiles

    @property
    def steps(self) -> int:
        """Parts of words that the pipelines take, one a cycle."""
        array = self.config.array
        return self.pixels * (array.lanes // array.pipeline_lanes)

    @property
    def windows(self) -> int:
        """Words of a map of values after pooling."""
        area, p = self.area, self.area.pooling
        tiles = -(-area.m_size // self.config.array.lanes)
        return area.samples * (area.h_size // p) * (area.w_size // p) * tiles


def areas(random, lanes: int):
    """Maps of all kinds: pooling, odd and not square, tiles, channels off the tile, samples."""
    for (height, width), pooling in itertools.product(SIZES, (1, 2, 3, 4)):
        m_size = int(random.choice([1, lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + 1]))
        yield NeuronArea(
            h_size=height,
            w_size=width,
            m_size=m_size,
            pooling=pooling,
            samples=int(random.choice([1, 1, 2, 3])),
        )


def whole_windows(area: NeuronArea) -> bool:
    return min(area.h_size, area.w_size) >= area.pooling


def soma_step(scene: Scene, t_acc: bool) -> Pass:
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
        status=scene.status,
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
    accesses = {
        "fp.conv_fp_reads": scene.pixels,
        "fp.u_reads": scene.pixels * t_acc,
        "fp.spike_reads": scene.pixels * t_acc,
        "fp.u_writes": scene.pixels,
        "fp.spike_writes": scene.pixels,
        "fp.s_out_writes": scene.windows,
    }
    return Pass(f"soma {area} {t_acc=}", command, expected, accesses)


def grad_step(scene: Scene, t_acc: bool) -> Pass:
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
        status=scene.status,
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
    accesses = {
        "bp.conv_bp_reads": scene.windows,
        "bp.u_reads": scene.pixels,
        "bp.du_reads": scene.pixels * t_acc,
        "bp.s_reads": scene.windows * (p > 1),
        "bp.du_writes": scene.pixels,
    }
    return Pass(f"grad {area} {t_acc=}", command, expected, accesses)


def kinds(engine: str):
    """Every vector operation on every pair of operands, to every destination."""
    sources = (*SOURCES[engine], Source.SCALAR)
    for operation, x, y in itertools.product(OPERATIONS, sources, sources):
        for to in (Destination.MAP, Destination.CONV):
            yield operation, x, y, to
    for x in sources:
        yield Operation.COMPARE, x, None, Destination.BITS


def vector_pass(scene: Scene, engine: str, kind, *, in_place: bool) -> Pass:
    operation, x, y, to = kind
    names, targets = SOURCES[engine], TARGETS[engine]
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
            operand(x), operand(y), status=scene.status, format=scene.format
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
    accesses = {f"{name}_reads": scene.pixels * (source in used) for source, name in names.items()}
    array = scene.config.array
    # Psums are written part by part.
    parts = array.lanes // min(CONVERT_LANES, array.pipeline_lanes)
    parts = parts if to is Destination.CONV else 1
    accesses[f"{targets[to]}_writes"] = scene.pixels * parts
    operands = f"{x.name} {y.name if y else ''}"
    what = f"{operation.name} {operands} to {to.name} {scene.area}"
    return Pass(what, command, expected, accesses)
