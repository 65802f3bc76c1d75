"""Without these, a sum could be off, or a NaN lost, in ways that random layers seldom show."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.wg.array import WgArray, WgColumn
from backspike.hw.wg.engine import WgEngine
from backspike.sim.model import psum_nan
from tests.hw.simulation import pulse, simulate

SEED = 7


def read_sums(ctx, column):
    """The selected sum, and whether a special value took part."""
    parts = [ctx.get(part.as_value()) for part in column.o]
    code = int(np.bitwise_or.reduce(np.array(parts, object)))
    bits = BINARY16.psum_bits
    value = code & ((1 << bits) - 1)
    return value - (1 << bits if value >> (bits - 1) else 0), bool(code >> bits)


@pytest.mark.parametrize("lanes", [2, 4, 16])
def test_column_sums_exactly_and_holds_what_it_captured(lanes):
    random = np.random.default_rng(SEED)
    column = WgColumn(format=BINARY16, lanes=lanes)
    largest = 1 << (BINARY16.fixed_bits - 1)

    async def bench(ctx):
        for _ in range(3):
            ctx.set(column.clear, 1)
            ctx.set(column.take, 1)  # loses to clear
            await ctx.tick()
            ctx.set(column.clear, 0)
            sums, special = [0] * lanes, [False] * lanes
            for _ in range(20):
                take = int(random.random() < 0.6)
                odd = random.random(lanes) < 0.03
                # Mostly of one sign, so that the sums leave the range of a single term.
                du = [int(v) for v in random.integers(-largest // 4, largest, lanes)]
                ctx.set(column.take, take)
                ctx.set(column.special, int(sum(1 << i for i in range(lanes) if odd[i])))
                for row in range(lanes):
                    ctx.set(column.du[row], du[row])
                    if take:
                        sums[row] += du[row]
                        special[row] |= bool(odd[row])
                await ctx.tick()
            ctx.set(column.take, 0)
            ctx.set(column.capture, 1)
            ctx.set(column.clear, 1)
            await ctx.tick()
            ctx.set(column.capture, 0)
            ctx.set(column.clear, 0)
            # The next sum grows meanwhile.
            ctx.set(column.take, 1)
            for row in range(lanes):
                ctx.set(column.select, 1)
                ctx.set(column.row, row)
                await ctx.tick()
                assert read_sums(ctx, column) == (sums[row], special[row]), (SEED, row)
            ctx.set(column.select, 0)
            await ctx.tick()
            assert read_sums(ctx, column) == (0, False)

    simulate(column, bench)


def test_array_adds_where_there_is_a_spike():
    lanes, dw_lanes = 4, 2
    array = WgArray(format=BINARY16, lanes=lanes, dw_lanes=dw_lanes)
    random = np.random.default_rng(SEED)
    du = np.float16(random.standard_normal((30, lanes)) * 100)
    du[random.random(du.shape) < 0.02] = np.nan
    du[3, 2] = -np.inf
    spikes = random.random((30, lanes)) < 0.4
    enter = random.random(30) < 0.8
    got = {}

    async def bench(ctx):
        await pulse(ctx, array.clear)
        for values, spiking, enters in zip(du, spikes, enter, strict=True):
            ctx.set(array.enter, int(enters))
            ctx.set(array.du, int.from_bytes(values.tobytes(), "little"))
            ctx.set(array.spikes, int(sum(1 << i for i in range(lanes) if spiking[i])))
            await ctx.tick()
        ctx.set(array.enter, 0)
        await ctx.tick()
        await pulse(ctx, array.capture)
        for row in range(lanes):
            for group in range(lanes // dw_lanes):
                ctx.set(array.load, 1)
                ctx.set(array.row, row)
                ctx.set(array.group, group)
                await ctx.tick()
                ctx.set(array.load, 0)
                await ctx.tick().repeat(2)
                for lane in range(dw_lanes):
                    got[row, group * dw_lanes + lane] = ctx.get(array.sums[lane])

    simulate(array, bench)
    for (row, column), value in got.items():
        taking = enter & spikes[:, column]
        terms = du[taking, row].astype(np.float64)
        if not np.isfinite(terms).all():
            assert value == psum_nan(BINARY16.psum_bits)
        else:
            assert value == int(np.ldexp(terms, -BINARY16.lsb).sum())


@pytest.mark.parametrize("dw_lanes", [0, 3, 8])
def test_engine_refuses_dw_lanes(dw_lanes):
    with pytest.raises(ValueError, match=rf"^dw_lanes must divide the 4 lanes, not {dw_lanes}$"):
        WgEngine(format=BINARY16, lanes=4, pixels=8, dw_lanes=dw_lanes)


def test_engine_refuses_formats_whose_sums_do_not_fit():
    with pytest.raises(ValueError, match="an array sums at most 64 bits"):
        WgEngine(format=Float(6, 9), lanes=4, pixels=8, dw_lanes=2)
