"""Without these, a pass could visit pixels twice or elsewhere, and commands could lie unnoticed."""

from __future__ import annotations

import itertools
import re

import pytest
from amaranth.sim import Simulator

from backspike.compiler.lowering.layout import Layout
from backspike.compiler.lowering.neuron import NeuronArea
from backspike.hw.isa.neuron.command import LEVELS, Destination, Operation, Source
from backspike.hw.neuron.walk import Walk
from tests.backspike.compiler.lowering.passes import Passes

PASSES = Passes(lanes=4, pixels=4)
AT = Layout()


def simulate(extent, words, bits, pixels):
    """All iterations of a walk as dictionaries."""
    walk = Walk(words=len(words), bit_maps=len(bits), pixels=pixels)
    seen = []

    async def bench(ctx):
        ctx.set(walk.extent, extent)
        for number, place in enumerate(words):
            ctx.set(walk.words[number], place)
        for number, place in enumerate(bits):
            ctx.set(walk.bits[number], place)
        ctx.set(walk.start, 1)
        await ctx.tick()
        ctx.set(walk.start, 0)
        ctx.set(walk.step, 1)
        while ctx.get(walk.active):
            flags = tuple(
                ctx.get(getattr(walk, name)) for name in ("opens", "closes", "whole", "last_tile")
            )
            where = [ctx.get(walk.word_addr[i]) for i in range(len(words))]
            for i in range(len(bits)):
                where.append((ctx.get(walk.bit_addr[i]), ctx.get(walk.bit_pixel[i])))
            seen.append((*flags, *where))
            await ctx.tick()
            assert len(seen) < 10_000

    simulator = Simulator(walk)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize(
    ("h", "w", "pooling", "samples", "m_size"),
    [
        (1, 1, 1, 1, 1),
        (3, 5, 1, 2, 5),
        (5, 7, 2, 2, 9),
        (4, 6, 2, 1, 4),
        (7, 5, 3, 1, 3),
        (2, 3, 4, 1, 2),
    ],
)
def test_walk_visits_every_pixel_once_where_it_lies(h, w, pooling, samples, m_size):
    area = NeuronArea(h_size=h, w_size=w, m_size=m_size, pooling=pooling, samples=samples)
    conv, u = Layout(base=100), Layout(base=7, row=w + 2, tile=1000, sample=5000)
    spike, s_out = Layout(base=3), Layout(base=11, tile=200, sample=700)
    fields = PASSES.soma(
        area, t_acc=False, alpha=0, th_f=0, conv=conv, u=u, spike=spike, s_out=s_out
    )
    seen = simulate(
        fields["extent"],
        [fields["conv_read"], fields["write"]],
        [fields["spike_write"], fields["s_out_write"]],
        PASSES.pixels,
    )
    expected = []
    tiles = -(-m_size // PASSES.lanes)
    for n, tile in itertools.product(range(samples), range(tiles)):
        for top, left in itertools.product(range(0, h, pooling), range(0, w, pooling)):
            rows, columns = range(top, min(top + pooling, h)), range(left, min(left + pooling, w))
            inside = list(itertools.product(rows, columns))
            for y, x in inside:
                row = 3 + ((n * tiles + tile) * h + y) * -(-w // PASSES.pixels)
                pooled_row = 11 + n * 700 + tile * 200
                pooled_row += top // pooling * -(-(w // pooling) // PASSES.pixels)
                px = left // pooling
                expected.append(
                    (
                        (y, x) == inside[0],
                        (y, x) == inside[-1],
                        len(inside) == pooling**2,
                        tile == tiles - 1,
                        100 + ((n * tiles + tile) * h + y) * w + x,
                        7 + n * 5000 + tile * 1000 + y * (w + 2) + x,
                        (row + x // PASSES.pixels, x % PASSES.pixels),
                        (pooled_row + px // PASSES.pixels, px % PASSES.pixels),
                    )
                )
    assert len(seen) == len(expected) == samples * tiles * h * w
    assert seen == expected


def test_last_lanes_is_what_the_last_tile_holds():
    for m_size, lanes in ((1, 1), (4, 4), (5, 1), (8, 4), (11, 3)):
        extent = PASSES.grad_vector(
            NeuronArea(h_size=1, w_size=1, m_size=m_size),
            Operation.ADD,
            x=Source.U,
            y=Source.DU,
            u=AT,
            du=AT,
            write=AT,
        )["extent"]
        assert (extent["tiles"], extent["last_lanes"]) == (-(-m_size // 4), lanes)


def test_pooled_operands_stay_while_their_window_is_walked():
    area = NeuronArea(h_size=4, w_size=4, m_size=4, pooling=2)
    fields = PASSES.grad(
        area, t_acc=False, alpha=0, th_f=0, th_l=0, th_r=0, conv=AT, u=AT, du=AT, s_out=AT
    )
    stride = dict(zip(LEVELS, fields["conv_read"]["stride"], strict=True))
    assert (stride["window_row"], stride["window_column"]) == (2, 1)
    assert (stride["row"], stride["column"]) == (0, 0)


AREA = {"h_size": 2, "w_size": 3, "m_size": 4}
SOMA = {"t_acc": False, "alpha": 0, "th_f": 0, "conv": AT, "u": AT, "spike": AT, "s_out": AT}
GRAD = {"t_acc": False, "alpha": 0, "th_f": 0, "th_l": 0, "th_r": 0, "conv": AT, "u": AT, "du": AT}

VECTOR = {"x": Source.U, "y": Source.SCALAR, "u": AT, "write": AT}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: NeuronArea(**AREA | {"h_size": 0}),
            "h_size must be a whole number from 1 to 4095, not 0",
        ),
        (
            lambda: NeuronArea(**AREA, pooling=5),
            "pooling must be a whole number from 1 to 4, not 5",
        ),
        (
            lambda: NeuronArea(**AREA, samples=1.0),
            "samples must be a whole number from 1 to 4095, not 1.0",
        ),
        (
            lambda: PASSES.soma(NeuronArea(**AREA), **SOMA | {"t_acc": True}),
            "u_prev and spike_prev must be given with t_acc, not None",
        ),
        (
            lambda: PASSES.soma(NeuronArea(**AREA), **SOMA, planes=16),
            "planes must be a whole number from 0 to 15, not 16",
        ),
        (
            lambda: PASSES.soma(NeuronArea(**AREA), **SOMA | {"alpha": 1 << 16}),
            "alpha must be a whole number from 0 to 65535, not 65536",
        ),
        (
            lambda: PASSES.soma(NeuronArea(**AREA), **SOMA | {"conv": Layout(base=65531)}),
            "conv must end at word 65535 or before, not 65536",
        ),
        (
            lambda: PASSES.soma(NeuronArea(**AREA), **SOMA | {"u": Layout(row=-1)}),
            "row of u must be a whole number of at least 0, not -1",
        ),
        (
            lambda: PASSES.soma(NeuronArea(**AREA | {"m_size": 65536 // 4}), **SOMA),
            "m_size = 16384 in tiles of 4 must be a whole number from 1 to 4095, not 4096",
        ),
        (
            lambda: PASSES.grad(NeuronArea(**AREA), **GRAD | {"t_acc": True}),
            "du_next must be given with t_acc, not None",
        ),
        (
            lambda: PASSES.grad(NeuronArea(**AREA, pooling=2), **GRAD),
            "s_out must be given with pooling, not None",
        ),
        (
            lambda: PASSES.soma_vector(NeuronArea(**AREA), Operation.STEP, x=Source.U, write=AT),
            "operation must be one of two operands or COMPARE, not STEP",
        ),
        (
            lambda: PASSES.soma_vector(NeuronArea(**AREA, pooling=2), Operation.ADD, **VECTOR),
            "pooling must be 1 in a vector operation, not 2",
        ),
        (
            lambda: PASSES.grad_vector(
                NeuronArea(**AREA), Operation.ADD, **VECTOR | {"y": Source.DU}
            ),
            "y must be SCALAR or have a place to read, not DU",
        ),
        (
            lambda: PASSES.soma_vector(NeuronArea(**AREA), Operation.COMPARE, **VECTOR),
            "y must be left out for COMPARE and only then, not Source.SCALAR",
        ),
        (
            lambda: PASSES.grad_vector(
                NeuronArea(**AREA), Operation.ADD, x=Source.U, u=AT, write=AT
            ),
            "y must be left out for COMPARE and only then, not None",
        ),
        (
            lambda: PASSES.soma_vector(NeuronArea(**AREA), Operation.ADD, **VECTOR, planes=16),
            "planes must be a whole number from 0 to 15, not 16",
        ),
        (
            lambda: PASSES.grad_vector(
                NeuronArea(**AREA),
                Operation.COMPARE,
                x=Source.U,
                u=AT,
                write=AT,
                to=Destination.MAP,
            ),
            "to must be BITS for COMPARE and only then, not MAP",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
