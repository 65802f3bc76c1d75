"""Soma and grad engines against the model: the whole of every memory, statuses, and counters."""

from __future__ import annotations

import itertools

import cocotb
import numpy as np

from hw.neuron.command import Destination, Operation, Source
from hw.neuron.lowering import Area
from hw.neuron.passes import Passes
from sim.harness.driver import EngineDriver
from sim.model import (
    Status,
    add,
    compare,
    decode,
    encode,
    grad,
    multiply,
    psum_nan,
    read_psum,
    round_values,
    soma,
    subtract,
    to_psum,
)
from tests.hw.neuron.maps import WORDS, Layout
from tests.hw.neuron.settings import bench_settings

BIT_MEMORIES = ("spike", "s", "s_out")
OPERATIONS = {
    Operation.ADD: add,
    Operation.SUBTRACT: subtract,
    Operation.MULTIPLY: multiply,
}
MOST_OVERHEAD = 60
"""Cycles of a pass without stalls beyond one a part of a pixel: filling and draining."""


class Bench:
    """The engine, its memories, and what they should hold."""

    def __init__(self, dut):
        self.settings = settings = bench_settings()
        self.random = np.random.default_rng(settings.seed)
        self.dut = dut
        self.format = settings.format
        self.lanes, self.pixels = settings.lanes, settings.pixels
        self.parts = settings.lanes // settings.pipeline_lanes
        self.is_soma = settings.name == "soma"
        self.engine = settings.engine()
        self.driver = EngineDriver(dut, self.engine, settings.depths)
        self.passes = Passes(lanes=self.lanes, pixels=self.pixels, format=self.format)
        bits, lsb = self.engine.psum_grid(self.format)
        self.psum = {"bits": bits, "lsb": lsb}
        self.memories = {}

    def layout(self, area, memory, *, pooled=False, at=None, beside=None):
        """A place for a map: anywhere, at ``at``, or off the words of the map ``beside``."""
        pixels = self.pixels if memory in BIT_MEMORIES else 1
        while True:
            layout = Layout.place(
                self.random, area, lanes=self.lanes, pixels=pixels, pooled=pooled, at=at
            )
            if at or beside is None or not layout.overlaps(beside):
                return layout

    def scramble(self, wild: bool) -> None:
        """Fills all memories, at random or (without ``wild``) with numbers of a network's size."""
        for memory in self.settings.depths:
            shape = (WORDS["bits"], self.pixels, self.lanes)
            if memory in BIT_MEMORIES:
                self.memories[memory] = self.random.random(shape) < 0.3
                continue
            shape = (WORDS["value"], 1, self.lanes)
            if memory == "conv":
                self.memories[memory] = self.psums(shape, wild)
            elif wild:
                codes = self.random.integers(1 << self.format.width, size=shape)
                self.memories[memory] = codes.astype(encode(0.0, self.format).dtype)
            else:
                values = np.round(self.random.normal(0, 1, shape) * 8) / 8
                self.memories[memory] = encode(round_values(values, self.format), self.format)

    def psums(self, shape, wild: bool):
        lsb, bits = self.psum["lsb"], self.psum["bits"]
        tame = np.round(self.random.normal(0, 1, shape) * 64) * 2.0**-6
        psums = np.ldexp(tame, -lsb).astype(np.int64)
        if wild:
            low = self.random.integers(1, bits, shape)
            psums = self.random.integers(-(1 << 62), 1 << 62, shape) >> (64 - low)
            psums[self.random.random(shape) < 0.02] = psum_nan(bits)
        return psums

    def load(self) -> None:
        for memory, words in self.memories.items():
            if memory in BIT_MEMORIES:
                words = np.packbits(words.reshape(len(words), -1), axis=1, bitorder="little")
            self.driver.load(memory, words.reshape(len(words), -1))

    def check(self, what: str, status: Status) -> None:
        """Compares all memories and the statuses with what they should be."""
        for memory, words in self.memories.items():
            flat = words.reshape(len(words), -1)
            if memory in BIT_MEMORIES:
                flat = np.packbits(flat, axis=1, bitorder="little")
            found = self.driver.fetch(memory, 0, len(flat), flat.dtype)
            wrong = np.argwhere(found[:, : flat.shape[1]] != flat)
            assert not len(wrong), (
                f"{what}: {len(wrong)} wrong in {memory}, first at {wrong[0]}: "
                f"{found[tuple(wrong[0])]:#x} is not {flat[tuple(wrong[0])]:#x}"
            )
        raised = self.driver.statuses
        expected = {"overflow": status.overflow, "invalid": status.invalid}
        assert raised == expected, f"{what}: statuses {raised} are not {expected}"

    async def run(self, what: str, fields, area: Area, status: Status) -> dict[str, int]:
        """Runs a pass, compares, and checks what the counters have in common."""
        self.dut.stall.value = stall = int(self.random.choice([0, 0, 40, 150]))
        cycles = await self.driver.run(fields, limit=100_000)
        what = f"{what} stall={stall}"
        self.check(what, status)
        counters = self.driver.counters()
        pixels = area.samples * area.h_size * area.w_size
        steps = pixels * -(-area.m_size // self.lanes) * self.parts
        assert counters["busy"] == steps, f"{what}: {counters}"
        assert counters["lanes"] == pixels * area.m_size, f"{what}: {counters}"
        assert counters["busy"] + counters["stalled"] == cycles - 1, f"{what}: {cycles} {counters}"
        if not stall:
            assert cycles <= steps + MOST_OVERHEAD, f"{what}: {cycles} cycles"
        return counters

    def values(self, layout, memory):
        return decode(layout.get(self.memories[memory]), self.format)

    def number(self, *numbers):
        """One of a few numbers, as the format has it, and its code."""
        value = round_values(self.random.choice(numbers), self.format)
        return float(value), int(encode(value, self.format))


def areas(random, lanes: int):
    """Maps of all kinds: pooling, odd and not square, tiles, channels off the tile, samples."""
    sizes = [(1, 1), (1, 9), (5, 7), (7, 4), (6, 6), (9, 5)]
    for (height, width), pooling in itertools.product(sizes, (1, 2, 3, 4)):
        if min(height, width) >= pooling:
            m_size = int(random.choice([1, lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + 1]))
            samples = int(random.choice([1, 1, 2, 3]))
            yield Area(
                h_size=height,
                w_size=width,
                m_size=max(m_size, 1),
                pooling=pooling,
                samples=samples,
            )


async def soma_step(bench: Bench, area: Area, t_acc: bool, wild: bool) -> None:
    random = bench.random
    in_place = bool(random.integers(2))
    planes = int(random.choice([0, 4]))
    conv, u_prev, spike_prev = (bench.layout(area, name) for name in ("conv", "u", "spike"))
    u = bench.layout(area, "u", at=u_prev.at if in_place else None, beside=u_prev)
    spike = bench.layout(area, "spike", at=spike_prev.at if in_place else None, beside=spike_prev)
    s_out = bench.layout(area, "s_out", pooled=True)
    alpha, alpha_code = bench.number(0.5, 0.9, 1.0)
    th_f, th_code = bench.number(1.0, 0.0, 0.25)
    bench.scramble(wild)
    bench.load()
    status = Status()
    made = soma(
        read_psum(
            conv.get(bench.memories["conv"]),
            **bench.psum,
            status=status,
            scale=planes,
            format=bench.format,
        ),
        bench.values(u_prev, "u"),
        spike_prev.get(bench.memories["spike"]),
        alpha=alpha,
        th_f=th_f,
        status=status,
        pool=area.pooling,
        t_acc=t_acc,
        format=bench.format,
    )
    u.put(bench.memories["u"], encode(made.u, bench.format))
    spike.put(bench.memories["spike"], made.s)
    s_out.put(bench.memories["s_out"], made.s_out)
    fields = bench.passes.soma(
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
    counters = await bench.run(f"soma {area} {t_acc=} {wild=}", fields, area, status)
    entered = counters["busy"] // bench.parts
    assert counters["u_reads"] == counters["spike_reads"] == entered * t_acc
    assert counters["conv_reads"] == counters["u_writes"] == counters["spike_writes"] == entered
    windows = np.prod(s_out.shape[:3]) * -(-area.m_size // bench.lanes)
    assert counters["s_out_writes"] == windows


async def grad_step(bench: Bench, area: Area, t_acc: bool, wild: bool) -> None:
    random = bench.random
    conv = bench.layout(area, "conv", pooled=True)
    u, du_next = bench.layout(area, "u"), bench.layout(area, "du")
    du = bench.layout(area, "du", at=du_next.at if random.integers(2) else None, beside=du_next)
    s_out = bench.layout(area, "s", pooled=True)
    alpha, alpha_code = bench.number(0.5, 0.9, 1.0)
    th_f, th_f_code = bench.number(1.0, 0.25)
    th_l, th_l_code = bench.number(0.0, 0.5, -np.inf)
    th_r, th_r_code = bench.number(2.0, 1.5, np.inf)
    bench.scramble(wild)
    potentials = bench.values(u, "u")
    p, (samples, rows, columns, channels) = area.pooling, s_out.shape
    spiked = (potentials >= th_f)[:, : rows * p, : columns * p]
    spiked = spiked.reshape(samples, rows, p, columns, p, channels).any(axis=(2, 4))
    s_out.put(bench.memories["s"], spiked)
    bench.load()
    status = Status()
    made = grad(
        read_psum(
            conv.get(bench.memories["conv"]), **bench.psum, status=status, format=bench.format
        ),
        bench.values(du_next, "du"),
        potentials,
        alpha=alpha,
        th_f=th_f,
        th_l=th_l,
        th_r=th_r,
        status=status,
        pool=p,
        t_acc=t_acc,
        format=bench.format,
    )
    du.put(bench.memories["du"], encode(made, bench.format))
    fields = bench.passes.grad(
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
    counters = await bench.run(f"grad {area} {t_acc=} {wild=}", fields, area, status)
    entered = counters["busy"] // bench.parts
    windows = np.prod(s_out.shape[:3]) * -(-channels // bench.lanes)
    assert counters["u_reads"] == counters["du_writes"] == entered
    assert counters["du_reads"] == entered * t_acc
    assert counters["conv_reads"] == windows
    assert counters["s_reads"] == windows * (p > 1)


@cocotb.test()
async def step_equals_model(dut):
    bench = Bench(dut)
    await bench.driver.reset()
    step = soma_step if bench.is_soma else grad_step
    flags = itertools.product((False, True), repeat=2)
    if bench.settings.brief:
        cases = list(zip(areas(bench.random, bench.lanes), itertools.cycle(flags), strict=False))
    else:
        cases = list(itertools.product(areas(bench.random, bench.lanes), flags))
    for area, (t_acc, wild) in cases:
        await step(bench, area, t_acc, wild)
    dut._log.info(f"{len(cases)} steps")


@cocotb.test()
async def vector_operations_equal_model(dut):
    bench = Bench(dut)
    await bench.driver.reset()
    names = {Source.CONV: "conv", Source.U: "u"}
    names |= {Source.BITS: "spike"} if bench.is_soma else {Source.BITS: "s", Source.DU: "du"}
    to_map, to_bits = ("u", "spike") if bench.is_soma else ("du", "s")
    sources = (*names, Source.SCALAR)
    kinds = [
        (operation, x, y, to)
        for operation in OPERATIONS
        for x, y in itertools.product(sources, repeat=2)
        for to in (Destination.MAP, Destination.CONV)
    ]
    kinds += [(Operation.COMPARE, x, None, Destination.BITS) for x in sources] * 2
    if bench.settings.brief:
        kinds = [kinds[i] for i in bench.random.permutation(len(kinds))[:40]]
    geometries = [area for area in areas(bench.random, bench.lanes) if area.pooling == 1]
    for number, (operation, x, y, to) in enumerate(kinds):
        area = geometries[bench.random.integers(len(geometries))]
        await vector_operation(bench, area, operation, x, y, to, names, (to_map, to_bits), number)
    dut._log.info(f"{len(kinds)} vector operations")


async def vector_operation(bench, area, operation, x, y, to, names, targets, number):
    wild = bool(number % 3 == 2)
    used = {x, y} - {None, Source.SCALAR}
    reads = {source: bench.layout(area, names[source]) for source in names}
    memory = {
        Destination.MAP: targets[0],
        Destination.CONV: "conv",
        Destination.BITS: targets[1],
    }[to]
    # Half of what can be done in place is: that is how results are accumulated.
    held = next((reads[source] for source in used if names[source] == memory), None)
    at = held.at if held and number % 2 else None
    write = bench.layout(area, memory, at=at, beside=held)
    planes = int(bench.random.choice([0, 3])) if bench.is_soma else 0
    scalar, scalar_code = bench.number(0.25, -1.0, 0.0, 3.0)
    low, low_code = bench.number(-0.5, 0.0, 0.25)
    high, high_code = bench.number(0.25, 1.0, np.inf)
    bench.scramble(wild)
    bench.load()
    status = Status()

    def operand(source):
        if source is Source.SCALAR:
            return np.full(write.shape, scalar)
        stored = reads[source].get(bench.memories[names[source]])
        if source is Source.CONV:
            grid = {**bench.psum, "scale": planes, "format": bench.format}
            return read_psum(stored, **grid, status=status)
        return stored.astype(float) if source is Source.BITS else decode(stored, bench.format)

    if operation is Operation.COMPARE:
        result = compare(operand(x), low, high)
    else:
        result = OPERATIONS[operation](operand(x), operand(y), status=status, format=bench.format)
        if to is Destination.CONV:
            result = to_psum(result, **bench.psum)
        else:
            result = encode(result, bench.format)
    write.put(bench.memories[memory], result)
    places = {source.name.lower(): layout.at for source, layout in reads.items() if source in used}
    build = bench.passes.soma_vector if bench.is_soma else bench.passes.grad_vector
    fields = build(
        area,
        operation,
        x=x,
        y=y,
        to=to,
        write=write.at,
        scalar=scalar_code,
        low=low_code,
        high=high_code,
        **({"planes": planes} if bench.is_soma else {}),
        **places,
    )
    name = y.name if y else ""
    what = f"{operation.name} {x.name} {name} to {to.name} {area} {wild=}"
    counters = await bench.run(what, fields, area, status)
    entered = counters["busy"] // bench.parts
    for source, read in names.items():
        assert counters[f"{read}_reads"] == entered * (source in used), what
    # Psums are written part by part.
    writes = counters["busy"] if memory == "conv" else entered
    assert counters[f"{memory}_writes"] == writes, what
