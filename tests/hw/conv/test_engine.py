"""Without these, an engine could end before its last write, or with weights of another group."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from amaranth import Module, Mux
from amaranth.lib.wiring import connect, flipped

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.words import layout_of, pack_spikes, tile_maps, tile_weights
from backspike.hw.arith.format import BINARY16, PSUM_BITS, Float
from backspike.hw.conv.engine import ConvEngine
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.presets import PRESETS
from backspike.sim.model import decode
from scripts.bench.rtl.passes import fp_pass
from tests.hw.conv.arrays import PlainArray
from tests.hw.conv.cases import under_tap
from tests.hw.ports import read_memory, write_memory
from tests.hw.simulation import simulate

SEED = 113
SHAPE = EngineShape(lanes=2, pixels=4, group_rows=3, group_tiles=7, ring_depth=8, weight_words=2)
# Groups of input tiles, groups of kernel rows, and a map that is smaller than its kernel.
LAYERS = [
    ConvLayer(h=2, w=5, kernel=(2, 2), padding=(1, 0, 0, 0), c_tiles=3, m_tiles=2),
    ConvLayer(h=5, w=5, kernel=(4, 3), stride=2, padding=(1, 1, 2, 0)),
    ConvLayer(h=1, w=2, kernel=(3, 3), padding=(1, 1, 1, 0), samples=2, steps=2),
]


class PlainEngine(ConvEngine):
    """The plain array, with spikes as FP has them."""

    def __init__(self, shape: EngineShape):
        super().__init__(shape, {"s_in_read": shape.pixels * shape.lanes})

    def elaborate(self, platform):
        m = Module()
        array = PlainArray(self._shape)
        front, loader = self.assemble(m, array, bits=self._shape.lanes)
        connect(m, front.input, flipped(self.s_in_read))
        step = front.o.payload
        m.d.sync += loader.release.eq(front.next_group)
        m.d.comb += [
            front.o.ready.eq(1),
            array.valid.eq(front.o.valid),
            *(
                getattr(array, name).eq(step[name])
                for name in ("take", "slots", "first", "last", "pixel")
            ),
        ]
        take = Mux(front.o.valid, step.take, 0)
        self.count_steps(m, front, take=take, entering=front.o.valid & step.entry)
        return m


class Memory:
    """Words behind ports of an engine, which are ready as often as ``share`` says."""

    def __init__(self, random):
        self.random, self.share = random, 1.0
        self.words: dict[int, int] = {}

    def load(self, words, base: int) -> None:
        """Holds the rows of an array, and nothing else."""
        self.words = {
            base + i: int.from_bytes(np.ascontiguousarray(word).tobytes(), "little")
            for i, word in enumerate(words)
        }

    def ready(self) -> bool:
        return self.random.random() < self.share

    def reads(self, port):
        return read_memory(port, lambda address: self.words[address], ready=self.ready)

    def writes(self, port):
        def put(address, word, mask):
            assert address in self.words and mask == (1 << len(port.mask)) - 1
            self.words[address] = word

        return write_memory(port, put, ready=self.ready)


def pad(maps, layer: ConvLayer):
    """Maps (sample, step, y, x, channel) with the layer's padding."""
    top, bottom, left, right = layer.padding
    return np.pad(maps, [(0, 0), (0, 0), (top, bottom), (left, right), (0, 0)])


def sums(layer: ConvLayer, x, codes):
    """Sums of the codes of weights, (sample, step, e, f, m)."""
    padded = pad(x, layer)
    return sum(
        padded[:, :, *under_tap(layer, r, s)] @ codes[:, :, r, s].T
        for r, s in np.ndindex(*layer.kernel)
    )


def dense_cycles(layer: ConvLayer) -> int:
    """Cycles that a command takes if nothing is skipped: one for each tile of weights and pixel."""
    inside = pad(np.ones((layer.samples, layer.steps, layer.h, layer.w, layer.c_tiles), int), layer)
    return layer.m_tiles * sum(
        int(inside[:, :, *under_tap(layer, *tap)].sum()) for tap in np.ndindex(*layer.kernel)
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_a_command_ends_when_all_of_its_psums_are_written(layer):
    random = np.random.default_rng([SEED, *layer.kernel])
    lanes = SHAPE.lanes
    engine = PlainEngine(SHAPE)
    maps, channels_out = (layer.samples, layer.steps), layer.m_tiles * lanes
    x = random.random((*maps, layer.h, layer.w, layer.c_tiles * lanes)) < 0.3
    x = x.astype(np.int64)
    codes = random.integers(0, BINARY16.infinity, (channels_out, x.shape[-1], *layer.kernel))
    old = random.integers(0, 1 << 40, (*maps, layer.e, layer.f, channels_out))
    bases = [int(base) for base in random.integers(0, 1 << 15, 3)]
    spikes, weights, psums = memories = [Memory(random) for _ in range(3)]
    spike_words, psum_words = pack_spikes(x, lanes, SHAPE.pixels), tile_maps(old, lanes)
    spikes.load(spike_words.reshape(-1, spike_words.shape[-1]), bases[0])

    async def run(ctx, command, share):
        for memory in memories:
            memory.share = share
        for name, value in command.items():
            ctx.set(engine.command[name], value)
        ctx.set(engine.start, 1)
        ctx.set(engine.clear_counters, 1)
        await ctx.tick()
        ctx.set(engine.start, 0)
        ctx.set(engine.clear_counters, 0)
        done = invalid = False
        while not done:
            *_, done, raised = await ctx.tick().sample(engine.done, engine.invalid)
            invalid |= bool(raised)
        return invalid

    async def bench(ctx):
        for acc, skip, slow in itertools.product((False, True), repeat=3):
            psums.load(psum_words.reshape(-1, lanes), bases[2])
            odd = codes.copy()
            odd[0] = BINARY16.nan if acc == skip else 1
            flat = tile_weights(decode(odd), lanes, BINARY16)
            weights.load(flat.reshape(-1, lanes * SHAPE.weight_words), bases[1])
            command = fp_pass(
                layer,
                SHAPE,
                spikes=layout_of(spike_words, bases[0]),
                weights=bases[1],
                psums=layout_of(psum_words, bases[2]),
                psum_acc=acc,
                skip=skip,
            )
            invalid = await run(ctx, command, share=0.4 if slow else 1.0)
            # What comes after done comes too late.
            found = dict(psums.words)
            psums.load(
                tile_maps(sums(layer, x, odd) + acc * old, lanes).reshape(-1, lanes), bases[2]
            )
            assert found == psums.words
            assert invalid == (acc == skip)
            await ctx.tick()
            assert not ctx.get(engine.running)
            counts = {n: ctx.get(engine.counters[n]) for n in ("busy", "skipped", "lanes")}
            assert counts["busy"] + counts["skipped"] == dense_cycles(layer)
            assert bool(counts["skipped"]) == skip
            assert (
                counts["lanes"] == sums(layer, x, np.ones_like(odd))[..., 0].sum() * layer.m_tiles
            )

    memory_ports = [
        spikes.reads(engine.s_in_read),
        weights.reads(engine.w_read),
        psums.reads(engine.conv_read),
        psums.writes(engine.conv_write),
    ]
    simulate(engine, bench, background=memory_ports)


def test_an_engine_is_as_large_as_the_configuration_says():
    config = PRESETS["tiny"]
    engine = PlainEngine.from_config(config)
    assert engine.parameters == vars(EngineShape.from_config(config))
    assert engine.memory_ports == ("s_in_read", "w_read", "conv_read", "conv_write")
    lanes = config.array.lanes
    assert len(engine.w_read.data) == config.format.width * lanes * config.array.weight_words
    assert len(engine.conv_write.data) == PSUM_BITS * lanes


def test_an_engine_refuses_a_format_whose_sums_are_too_long():
    with pytest.raises(ValueError, match="an array sums at most 64 bits"):
        PlainEngine(EngineShape(format=Float(6, 9), lanes=2, pixels=4))
