"""Without these, a sum could be rounded wrongly, or dw of another channel be written, unnoticed."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, BINARY32
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.wg.readout import SUM_CYCLES, WgReadout, WgRounder
from backspike.sim.model import Status, add_dw, psum_nan, read_wg
from tests.hw.ports import read_memory, write_memory
from tests.hw.simulation import pulse, simulate

SEED = 7
LANES = 4


def codes(values) -> list[int]:
    """Binary32 codes, all NaNs the same."""
    values = np.asarray(values, np.float32)
    return [int(c) for c in np.where(np.isnan(values), BINARY32.nan, values.view(np.uint32))]


def test_rounder_equals_model():
    rounder = WgRounder(format=BINARY16, dw_lanes=1)
    random = np.random.default_rng(SEED)
    bits = BINARY16.psum_bits
    sums = [psum_nan(bits), 0, 0, 1, -1, (1 << 24) + 1, -(1 << 24) - 1, (1 << (bits - 1)) - 1]
    sums += [
        int(v) >> int(s)
        for v, s in zip(
            random.integers(-(1 << (bits - 1)) + 1, 1 << (bits - 1), 400),
            random.integers(0, bits, 400),
            strict=True,
        )
    ]
    old = np.exp2(random.uniform(-40, 40, len(sums))) * random.choice([-1, 1], len(sums))
    old = old.astype(np.float32)
    old[:16] = [1, -0.0, 0.0, np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, *[-0.0] * 8]
    planes = random.integers(0, 16, len(sums))
    flags, got = [], []

    async def bench(ctx):
        for cycle in range(len(sums) + rounder.latency):
            if cycle < len(sums):
                ctx.set(rounder.sums[0], sums[cycle])
            # The old value joins the new one after it has been rounded.
            late = cycle - rounder.round_latency
            if 0 <= late < len(sums):
                ctx.set(rounder.old[0], int(old[late].view(np.uint32)))
            if cycle < len(sums):
                ctx.set(rounder.plane, int(planes[cycle]))
            if cycle >= rounder.latency:
                got.append(ctx.get(rounder.o[0]))
                flags.append((ctx.get(rounder.overflow), ctx.get(rounder.invalid)))
            await ctx.tick()

    simulate(rounder, bench)
    for i, psum in enumerate(sums):
        status = Status()
        new = read_wg(np.array([psum]), plane=int(planes[i]), status=status)
        want = add_dw(old[i : i + 1], new, status=status)
        code = 0x7FC00000 if np.isnan(want[0]) else int(want.view(np.uint32)[0])
        assert got[i] == code, (i, psum, old[i], planes[i])
        assert flags[i] == (status.overflow, status.invalid), (i, psum, old[i])


def run(readout, command, positions, old, random, granting):
    """Reads out ``positions``, (sums by row, last_m, last_c), one after the other.

    ``old`` maps addresses to words of old dw. Returns the words that are written, by address in
    order, the statuses, and the cycles.
    """
    written, raised, cycles = [], Status(), 0
    taken = -1

    async def array(ctx):
        """The copies, and the cycles from what is loaded to its sums."""
        on_the_way: list = [None] * (SUM_CYCLES - 1)
        while True:
            *_, load, row, group = await ctx.tick().sample(readout.load, readout.row, readout.group)
            first = group * len(readout.sums)
            sums = positions[taken][0][row][first : first + len(readout.sums)] if load else None
            arrived, *on_the_way = (*on_the_way, sums)
            for port, value in zip(readout.sums, arrived or (), strict=bool(arrived)):
                ctx.set(port, value)

    def grants():
        return random.random() < granting

    def put(address, word, mask):
        assert mask == (1 << LANES) - 1
        size = BINARY32.width
        written.append((address, [word >> size * i & (1 << size) - 1 for i in range(LANES)]))

    async def statuses(ctx):
        while True:
            *_, overflow, invalid = await ctx.tick().sample(readout.overflow, readout.invalid)
            raised.overflow |= bool(overflow)
            raised.invalid |= bool(invalid)

    async def engine(ctx):
        nonlocal taken, cycles
        ctx.set(readout.command, command)
        await pulse(ctx, readout.start)
        for _, last_m, last_c in positions:
            while not ctx.get(readout.free) or random.random() >= granting:
                await ctx.tick()
                cycles += 1
            ctx.set(readout.captured, 1)
            ctx.set(readout.last_m, last_m)
            ctx.set(readout.last_c, last_c)
            await ctx.tick()
            cycles += 1
            ctx.set(readout.captured, 0)
            taken += 1
        while not ctx.get(readout.idle):
            await ctx.tick()
            cycles += 1

    memories = [
        read_memory(readout.read, old.__getitem__, ready=grants),
        write_memory(readout.write, put, ready=grants),
    ]
    simulate(readout, engine, background=[array, statuses, *memories])
    return written, raised, cycles


@pytest.mark.parametrize("granting", [1, 0.4])
@pytest.mark.parametrize(("dw_lanes", "last_m", "last_c"), [(1, 3, 2), (2, 4, 1), (4, 1, 3)])
@pytest.mark.parametrize("dw_acc", [0, 1])
def test_readout_writes_the_dw_of_each_position(dw_lanes, last_m, last_c, dw_acc, granting):
    random = np.random.default_rng((SEED, dw_lanes, dw_acc))
    bits, plane = BINARY16.psum_bits, 3
    count = 9
    # The last words of the memory, and the first ones.
    base = (1 << ADDRESS_BITS) - 5
    positions, expected, old, status = [], [], {}, Status()
    for number in range(count):
        sums = random.integers(-(1 << (bits - 1)) + 1, 1 << (bits - 1), (LANES, LANES))
        sums >>= random.integers(0, bits, sums.shape)
        # Where there is no channel lies what would set a status.
        in_m, in_c = number % 3 == 2, number % 2 == 1
        sums[last_m if in_m else LANES :] = psum_nan(bits)
        sums[:, last_c if in_c else LANES :] = psum_nan(bits)
        if number == 4 and dw_lanes == 2:
            sums[0, 0] = psum_nan(bits)
        positions.append((sums.tolist(), in_m, in_c))
        for row in range(LANES):
            address = (base + number * LANES + row) % (1 << ADDRESS_BITS)
            before = np.float32(random.normal(size=LANES))
            old[address] = int.from_bytes(before.tobytes(), "little")
            lanes = 0 if in_m and row >= last_m else last_c if in_c else LANES
            dw = read_wg(sums[row, :lanes], plane=plane, status=status)
            if dw_acc:
                dw = add_dw(before[:lanes], dw, status=status)
            expected.append((address, codes(dw) + [0] * (LANES - lanes)))
    command = {
        "dw_base": base,
        "dw_words": count * LANES,
        "dw_acc": dw_acc,
        "plane": plane,
        "last_m": last_m,
        "last_c": last_c,
    }
    readout = WgReadout(format=BINARY16, lanes=LANES, dw_lanes=dw_lanes)
    written, raised, cycles = run(readout, command, positions, old, random, granting)
    assert written == expected, (SEED, command)
    assert raised == status == Status(invalid=dw_lanes == 2), (SEED, command)
    if granting == 1:
        assert cycles <= count * (LANES * LANES // dw_lanes + 1) + 40, "a group of sums a cycle"
