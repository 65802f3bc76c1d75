"""Without these, a host could write another word than it means to, or read one for another."""

from __future__ import annotations

import random

import pytest

from backspike.hw.core.host_memory import HostMemory
from backspike.hw.dma.axi import INCREMENT
from tests.hw.simulation import pulse, simulate

SEED = 83
ACCESSES = 80
SLAVE_ERROR = 2


@pytest.mark.parametrize("bus_bits", [32, 64, 256])
def test_words_are_read_and_written_one_at_a_time(bus_bits):
    rng = random.Random(f"{SEED}{bus_bits}")
    unit = HostMemory(bus_bits=bus_bits)
    size = bus_bits // 8
    memory = bytearray(rng.randbytes(1024))
    base = 0x12_3456_7000
    read, write = unit.read_bus, unit.write_bus

    async def until(ctx, valid, ready):
        """Takes what is valid, some cycles later; it must stay there."""
        while not ctx.get(valid):
            await ctx.tick()
        for _ in range(rng.randrange(4)):
            await ctx.tick()
            assert ctx.get(valid)
        await pulse(ctx, ready)
        assert not ctx.get(valid)

    def checked(ctx, bus, channel):
        address, length, beat, burst = (
            ctx.get(getattr(bus, f"{channel}{name}")) for name in ("addr", "len", "size", "burst")
        )
        assert (length, 1 << beat, burst) == (0, size, INCREMENT)
        assert address % size == 0
        return address - base

    async def reads(ctx):
        while True:
            while not ctx.get(read.arvalid):
                await ctx.tick()
            at = checked(ctx, read, "ar")
            await until(ctx, read.arvalid, read.arready)
            await answer(ctx, read.rvalid, read.rresp, at, data=memory[at : at + size])

    async def writes(ctx):
        while True:
            while not ctx.get(write.awvalid):
                await ctx.tick()
            at = checked(ctx, write, "aw")
            await until(ctx, write.awvalid, write.awready)
            while not taken:
                await ctx.tick()
            data, strobe = taken.pop()
            for byte in range(size):
                if strobe >> byte & 1:
                    memory[at + byte] = data >> 8 * byte & 0xFF
            await answer(ctx, write.bvalid, write.bresp, at)

    taken: list[tuple[int, int]] = []

    async def words(ctx):
        while True:
            while not ctx.get(write.wvalid):
                await ctx.tick()
            assert ctx.get(write.wlast)
            word = ctx.get(write.wdata), ctx.get(write.wstrb)
            await until(ctx, write.wvalid, write.wready)
            taken.append(word)

    async def answer(ctx, valid, response, at, data=None):
        for _ in range(rng.randrange(4)):
            await ctx.tick()
        if data is not None:
            ctx.set(read.rdata, int.from_bytes(data, "little"))
        ctx.set(response, SLAVE_ERROR if at in bad else 0)
        await pulse(ctx, valid)

    bad = set(rng.sample(range(0, len(memory), size), 4))

    async def host(ctx):
        wanted = bytearray(memory)
        errors = 0
        for _ in range(ACCESSES):
            at = rng.randrange(0, len(memory), 4)
            if rng.random() < 0.2:
                at = rng.choice(sorted(bad))
            writing = rng.random() < 0.5
            both = writing and rng.random() < 0.3
            word = rng.getrandbits(32)
            ctx.set(unit.host.address, base + at)
            ctx.set(unit.host.word, word)
            ctx.set(unit.host.write, writing)
            ctx.set(unit.host.read, both or not writing)
            await ctx.tick()
            # The address may change as soon as it has been taken.
            ctx.set(unit.host.address, rng.getrandbits(38) << 2)
            done = unit.host.written if writing else unit.host.found
            while True:
                _, _, over, other, value, error = await ctx.tick().sample(
                    done,
                    unit.host.found if writing else unit.host.written,
                    unit.host.value,
                    unit.host.error,
                )
                assert not other
                if over:
                    break
            ctx.set(unit.host.write, 0)
            ctx.set(unit.host.read, 0)
            assert error == (at // size * size in bad)
            errors += error
            if writing:
                wanted[at : at + 4] = word.to_bytes(4, "little")
            else:
                assert value == int.from_bytes(wanted[at : at + 4], "little")
            await ctx.tick()
            assert memory == wanted
        assert errors

    simulate(unit, host, background=[reads, writes, words])
