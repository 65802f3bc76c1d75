"""Arbiters by themselves: without these an answer could reach the wrong master."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from backspike.hw.dma.arbiter import AxiReadArbiter, AxiWriteArbiter
from tests.hw.channels import give
from tests.hw.simulation import pause, simulate

CLIENTS = 3
BURSTS = 30


def chance(random, share: float) -> bool:
    return bool(random.random() < share)


def askers(random, share: float, arbiter, channel: str):
    """Testbenches of the clients, each of which asks for its bursts on ``channel``."""

    def asker(number):
        async def testbench(ctx):
            for burst in range(BURSTS):
                await pause(ctx, random, 1 - share)
                place = {"id": burst % 2, "addr": number << 20 | burst << 8}
                await give(ctx, arbiter.clients[number], channel=channel, **place, len=burst % 3)

        return testbench

    return map(asker, range(CLIENTS))


@pytest.mark.parametrize("arbiter", [AxiReadArbiter, AxiWriteArbiter])
def test_refuses_a_single_client(arbiter):
    with pytest.raises(ValueError, match="clients must be a whole number of at least 2, not 1"):
        arbiter(clients=1, data_bits=32)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_reads_come_back_to_who_asked_however_they_are_mixed(share):
    random = np.random.default_rng(5)
    arbiter = AxiReadArbiter(clients=CLIENTS, data_bits=32, id_bits=1)
    bus = arbiter.bus
    asked = []  # (id, address, length), as they arrive
    left = CLIENTS * BURSTS  # last beats to be taken

    async def take_addresses(ctx):
        while len(asked) < CLIENTS * BURSTS:
            ctx.set(bus.arready, chance(random, share))
            values = await ctx.tick().sample(
                bus.arvalid, bus.arready, bus.arid, bus.araddr, bus.arlen, bus.arsize
            )
            valid, ready, number, address, length, size = values[2:]
            if valid and ready:
                assert (number >> 1, number & 1) == (address >> 20, address >> 8 & 1)
                assert length == (address >> 8 & 0xFFF) % 3
                assert size == 2
                asked.append((number, address, length))

    async def answer(ctx):
        open_bursts: dict[int, list] = {}
        at = 0
        for _ in range(sum(burst % 3 + 1 for burst in range(BURSTS)) * CLIENTS):
            while True:
                for number, address, length in asked[at:]:
                    beats = [(address + beat, beat == length) for beat in range(length + 1)]
                    open_bursts.setdefault(number, []).extend(beats)
                at = len(asked)
                choices = [number for number, beats in open_bursts.items() if beats]
                if choices and chance(random, share):
                    break
                await ctx.tick()
            number = int(random.choice(choices))  # beats of different ids in any order
            value, last = open_bursts[number].pop(0)
            fields = {"id": number, "data": value, "last": last, "resp": value % 3}
            await give(ctx, bus, channel="r", **fields)

    def take(number):
        async def testbench(ctx):
            nonlocal left
            client = arbiter.clients[number]
            want: dict[int, list] = {0: [], 1: []}
            for burst in range(BURSTS):
                address = number << 20 | burst << 8
                want[burst % 2] += [
                    (address + beat, beat == burst % 3) for beat in range(burst % 3 + 1)
                ]
            while any(want.values()):
                ctx.set(client.rready, chance(random, share))
                values = await ctx.tick().sample(
                    client.rvalid, client.rready, client.rid, client.rdata, client.rlast
                )
                valid, ready, id_, value, last = values[2:]
                if valid and ready:
                    assert (value, last) == want[id_].pop(0)
                    left -= last

        return testbench

    clients = range(CLIENTS)
    simulate(
        arbiter, *askers(random, share, arbiter, "ar"), take_addresses, answer, *map(take, clients)
    )
    assert left == 0
    if share == 1.0:  # all ask without a pause: each in its turn
        turns = [address >> 20 for _, address, _ in asked]
        assert set(Counter(turns).values()) == {BURSTS}
        assert all({*turns[i : i + CLIENTS]} == {*clients} for i in range(0, len(turns), CLIENTS))


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_write_data_follow_their_addresses(share):
    random = np.random.default_rng(6)
    arbiter = AxiWriteArbiter(clients=CLIENTS, data_bits=32, id_bits=1)
    bus = arbiter.bus
    total = CLIENTS * BURSTS
    asked, written, answered = [], [], [0] * CLIENTS

    def give_data(number):
        async def testbench(ctx):
            client = arbiter.clients[number]
            for burst in range(BURSTS):
                for beat in range(burst % 3 + 1):
                    await pause(ctx, random, 1 - share)
                    data, last = (number << 20 | burst << 8) + beat, beat == burst % 3
                    await give(ctx, client, channel="w", data=data, strb=burst % 16, last=last)

        return testbench

    async def take_addresses(ctx):
        while len(asked) < total:
            ctx.set(bus.awready, chance(random, share))
            values = await ctx.tick().sample(bus.awvalid, bus.awready, bus.awid, bus.awaddr)
            valid, ready, number, address = values[2:]
            if valid and ready:
                assert (number >> 1, number & 1) == (address >> 20, address >> 8 & 1)
                asked.append((number, address))

    async def take_data(ctx):
        beat = 0
        while len(written) < total:
            ctx.set(bus.wready, chance(random, share))
            values = await ctx.tick().sample(
                bus.wvalid, bus.wready, bus.wdata, bus.wstrb, bus.wlast
            )
            valid, ready, value, strobes, last = values[2:]
            if valid and ready:
                burst = value >> 8 & 0xFFF
                assert (value & 0xFF, strobes) == (beat, burst % 16)
                beat = 0 if last else beat + 1
                if last:
                    written.append(value & ~0xFF)

    async def answer(ctx):
        for at in range(total):
            while at >= min(len(written), len(asked)) or not chance(random, share):
                await ctx.tick()
            await give(ctx, bus, channel="b", id=asked[at][0], resp=at % 3)

    def take(number):
        async def testbench(ctx):
            client = arbiter.clients[number]
            while answered[number] < BURSTS:
                ctx.set(client.bready, chance(random, share))
                values = await ctx.tick().sample(client.bvalid, client.bready, client.bid)
                valid, ready, id_ = values[2:]
                if valid and ready:
                    assert id_ == answered[number] % 2
                    answered[number] += 1

        return testbench

    clients = range(CLIENTS)
    simulate(
        arbiter,
        *askers(random, share, arbiter, "aw"),
        *map(give_data, clients),
        take_addresses,
        take_data,
        answer,
        *map(take, clients),
    )
    assert written == [address for _, address in asked]
