"""Without these, one core could get what another one has read from DRAM, or overwrite it."""

from __future__ import annotations

import random

import pytest

from backspike.hw.chip.dram import SharedDram, joined_id_bits
from tests.hw import channels
from tests.hw.simulation import pause, simulate

SEED = 47
ID_BITS = 2
BURSTS = 8
LONGEST = 3


def test_refuses_a_chip_without_cores():
    with pytest.raises(ValueError, match="SharedDram rows must be a whole number of at least 1"):
        SharedDram(columns=1, rows=0, data_bits=32, id_bits=1)


@pytest.mark.parametrize(("columns", "rows"), [(3, 2), (1, 3), (2, 1)])
def test_answers_come_back_to_the_core_that_asked(columns, rows):
    rng = random.Random(f"{SEED}{columns}{rows}")
    unit = SharedDram(columns=columns, rows=rows, data_bits=32, id_bits=ID_BITS)
    bus, cores = unit.bus, range(columns * rows)
    assert len(bus.arid) == len(bus.awid) == joined_id_bits(columns, rows, ID_BITS)
    column_bits = (columns - 1).bit_length()
    reads: dict[int, list] = {}  # by id in full: beats to answer
    orders: list[tuple[int, int, int]] = []  # of writes: id, address, beats
    written: dict[int, list[int]] = {}
    answers: list[tuple[int, int]] = []

    def response(address: int) -> int:
        return 2 if address >> 8 & 1 else 0

    def whose(number: int, address: int) -> None:
        """The core that the address names must be the one that the id names."""
        y, x = divmod(address >> 20, columns)
        assert number >> ID_BITS == y << column_bits | x
        assert number & (1 << ID_BITS) - 1 == address >> 8 & (1 << ID_BITS) - 1

    async def give(ctx, port, channel, **fields):
        await pause(ctx, rng, 0.4)
        await channels.give(ctx, port, channel=channel, **fields)

    async def take(ctx, port, channel, *names):
        await pause(ctx, rng, 0.4)
        return await channels.take(ctx, port, *names, channel=channel)

    def reader(core):
        async def testbench(ctx):
            port = unit.cores[core]
            for burst in range(BURSTS):
                address, length = core << 20 | burst << 8, rng.randrange(LONGEST)
                own = burst % (1 << ID_BITS)
                await give(ctx, port, "ar", addr=address, len=length, id=own)
                for beat in range(length + 1):
                    found = await take(ctx, port, "r", "data", "resp", "id", "last")
                    assert found == [address + beat, response(address), own, beat == length]

        return testbench

    def writer(core):
        async def testbench(ctx):
            port = unit.cores[core]
            for burst in range(BURSTS):
                address, length = core << 20 | burst << 8, rng.randrange(LONGEST)
                own = burst % (1 << ID_BITS)
                await give(ctx, port, "aw", addr=address, len=length, id=own)
                for beat in range(length + 1):
                    last = beat == length
                    await give(ctx, port, "w", data=address + beat, strb=0b0110, last=last)
                assert await take(ctx, port, "b", "resp", "id") == [response(address), own]
                assert written[address] == [address + beat for beat in range(length + 1)]

        return testbench

    async def read_addresses(ctx):
        while True:
            number, address, length = await take(ctx, bus, "ar", "id", "addr", "len")
            whose(number, address)
            beats = [(address, beat, beat == length) for beat in range(length + 1)]
            reads.setdefault(number, []).extend(beats)

    async def read_data(ctx):
        while True:
            while not (waiting := [number for number, beats in reads.items() if beats]):
                await ctx.tick()
            number = rng.choice(waiting)  # beats of different ids come in any order
            address, beat, last = reads[number].pop(0)
            fields = {"data": address + beat, "resp": response(address), "last": last}
            await give(ctx, bus, "r", id=number, **fields)

    async def write_addresses(ctx):
        while True:
            number, address, length = await take(ctx, bus, "aw", "id", "addr", "len")
            whose(number, address)
            orders.append((number, address, length))

    async def write_data(ctx):
        while True:
            while not orders:
                await ctx.tick()
            number, address, length = orders.pop(0)
            for beat in range(length + 1):
                word, strobe, last = await take(ctx, bus, "w", "data", "strb", "last")
                assert (strobe, last) == (0b0110, beat == length)
                written.setdefault(address, []).append(word)
            answers.append((number, address))

    async def write_answers(ctx):
        while True:
            while not answers:
                await ctx.tick()
            number, address = answers.pop(rng.randrange(len(answers)))
            await give(ctx, bus, "b", id=number, resp=response(address))

    simulate(
        unit,
        *(made(core) for core in cores for made in (reader, writer)),
        background=[read_addresses, read_data, write_addresses, write_data, write_answers],
    )
    assert len(written) == len(cores) * BURSTS
