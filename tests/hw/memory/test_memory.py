"""Memories and their streams: without these, a stall could lose, double or reorder words."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib.wiring import Component

from backspike.hw.memory.nonzero import NonzeroMap
from backspike.hw.memory.port import ReadPort, WritePort
from backspike.hw.memory.sram import Sram
from backspike.hw.memory.stream import ReadStream, WriteQueue
from tests.hw.simulation import simulate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 1, "width": 8}, "Sram depth must be 2 to 65536 words, not 1"),
        ({"depth": 1 << 17, "width": 8}, "Sram depth must be 2 to 65536 words, not 131072"),
        (
            {"depth": 4, "width": 8, "granules": 3},
            "Sram granules must divide the width 8, not 3",
        ),
    ],
)
def test_sram_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sram(**arguments)


def test_nonzero_map_refuses_a_depth_off_the_word():
    with pytest.raises(ValueError, match="NonzeroMap depth must be a multiple of 8, not 12"):
        NonzeroMap(depth=12, pixels=8, lanes=2, width=4)


def test_ports_have_what_they_say():
    read, write = ReadPort(width=24), WritePort(width=24, granules=3)
    assert read.members["data"].shape == 24
    assert write.members["mask"].shape == 3
    assert write.members["ready"].flow == read.members["ready"].flow


def test_sram_writes_granules_and_reads_before_a_write():
    sram = Sram(depth=4, width=16, granules=2)

    async def testbench(ctx):
        async def write(addr, value, mask):
            ctx.set(sram.write.en, 1)
            ctx.set(sram.write.addr, addr)
            ctx.set(sram.write.data, value)
            ctx.set(sram.write.mask, mask)
            await ctx.tick()
            ctx.set(sram.write.en, 0)

        await write(2, 0xABCD, 0b11)
        await write(2, 0x1234, 0b10)
        ctx.set(sram.read.en, 1)
        ctx.set(sram.read.addr, 2)
        ctx.set(sram.write.en, 1)
        ctx.set(sram.write.data, 0xFFFF)
        await ctx.tick()
        assert ctx.get(sram.read.data) == 0x12CD
        await ctx.tick()
        assert ctx.get(sram.read.data) == 0xFFCD
        # Without an enable nothing is read.
        ctx.set(sram.read.en, 0)
        ctx.set(sram.read.addr, 0)
        await ctx.tick()
        assert ctx.get(sram.read.data) == 0xFFCD

    simulate(sram, testbench)


@pytest.mark.parametrize("offset", range(0, 25, 5))
def test_nonzero_map_follows_writes_at_any_alignment(offset):
    pixels, lanes, width = 8, 2, 4
    random = np.random.default_rng(offset)
    # -0 is 0b1000 in each lane: it is zero, too.
    words = random.choice([0x00, 0x88, 0x80, 0x01, 0x70], 40)
    nonzero = NonzeroMap(depth=40, pixels=pixels, lanes=lanes, width=width)

    async def testbench(ctx):
        ctx.set(nonzero.write, 1)
        for addr, word in enumerate(words):
            ctx.set(nonzero.write_addr, addr)
            ctx.set(nonzero.write_data, int(word))
            await ctx.tick()
        ctx.set(nonzero.write, 0)
        ctx.set(nonzero.read.en, 1)
        for addr in range(offset, offset + 5):
            ctx.set(nonzero.read.addr, addr)
            await ctx.tick()
            got = ctx.get(nonzero.read.data)
            for i, word in enumerate(words[addr : addr + pixels]):
                assert got >> i & 1 == bool(word & 0x77), (addr, i)

    simulate(nonzero, testbench)


class Reading(Component):
    """A ReadStream on an SRAM whose port is ready when the test says so."""

    def __init__(self, stream):
        super().__init__({})
        self.stream = stream
        self.sram = Sram(depth=64, width=8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.stream, m.submodules.sram = self.stream, self.sram
        port = self.stream.port
        m.d.comb += [
            self.sram.read.en.eq(port.en & port.ready),
            self.sram.read.addr.eq(port.addr),
            port.data.eq(self.sram.read.data),
        ]
        return m


@pytest.mark.parametrize(
    ("asking", "granting", "taking"), [(1, 1, 1), (0.5, 0.5, 0.5), (1, 0.3, 1), (1, 1, 0.3)]
)
def test_read_stream_keeps_order_under_stalls(asking, granting, taking):
    random = np.random.default_rng(7)
    stream = ReadStream(width=8, tag_bits=6, depth=4)
    bench = Reading(stream)
    requests = [
        (int(a), bool(r))
        for a, r in zip(random.integers(0, 64, 200), random.random(200) < 0.8, strict=True)
    ]
    cycles = 0

    async def fill(ctx):
        ctx.set(bench.sram.write.en, 1)
        ctx.set(bench.sram.write.mask, 1)
        for addr in range(64):
            ctx.set(bench.sram.write.addr, addr)
            ctx.set(bench.sram.write.data, 255 - addr)
            await ctx.tick()
        ctx.set(bench.sram.write.en, 0)

    async def ask(ctx):
        await fill(ctx)
        for number, (addr, read) in enumerate(requests):
            while random.random() >= asking:
                await ctx.tick()
            ctx.set(stream.i_valid, 1)
            ctx.set(stream.i_addr, addr)
            ctx.set(stream.i_read, read)
            ctx.set(stream.i_tag, number % 64)
            await ctx.tick().until(stream.i_ready)
            ctx.set(stream.i_valid, 0)

    async def grant(ctx):
        while cycles is not None and len(taken) < len(requests):
            ctx.set(stream.port.ready, random.random() < granting)
            await ctx.tick()

    taken = []

    async def take(ctx):
        nonlocal cycles
        while len(taken) < len(requests):
            ready = random.random() < taking
            ctx.set(stream.o_ready, ready)
            _, _, valid, data, tag = await ctx.tick().sample(
                stream.o_valid, stream.o_data, stream.o_tag
            )
            cycles += 1
            if ready and valid:
                number = len(taken)
                addr, read = requests[number]
                assert tag == number % 64
                assert not read or data == 255 - addr
                taken.append(number)

    simulate(bench, ask, grant, take)
    if asking == granting == taking == 1:
        assert cycles <= 64 + len(requests) + 4  # the filling, then one a cycle


class Writing(Component):
    """A WriteQueue on an SRAM whose port is ready when the test says so."""

    def __init__(self, queue):
        super().__init__({})
        self.queue = queue
        self.sram = Sram(depth=64, width=16, granules=2)

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue, m.submodules.sram = self.queue, self.sram
        port, write = self.queue.port, self.sram.write
        m.d.comb += [
            write.en.eq(port.en & port.ready),
            write.addr.eq(port.addr),
            write.data.eq(port.data),
            write.mask.eq(port.mask),
        ]
        return m


@pytest.mark.parametrize("granting", [1, 0.3])
def test_write_queue_writes_all_that_was_reserved(granting):
    random = np.random.default_rng(11)
    latency = 5
    queue = WriteQueue(width=16, granules=2, depth=8)
    bench = Writing(queue)
    work = [(int(a), int(d), int(k)) for a, d, k in random.integers(0, (64, 1 << 16, 4), (150, 3))]
    expected = [0] * 64
    for addr, value, mask in work:
        keep = sum(0xFF << 8 * i for i in range(2) if not mask >> i & 1)
        expected[addr] = expected[addr] & keep | value & ~keep
    over = False

    async def drive(ctx):
        nonlocal over
        pipeline = [None] * latency
        waiting = list(work)
        most = 0
        while waiting or any(pipeline):
            goes = bool(waiting) and bool(ctx.get(queue.available))
            pipeline.append(waiting.pop(0) if goes else None)
            done = pipeline.pop(0)
            ctx.set(queue.reserve, goes)
            ctx.set(queue.push, done is not None)
            if done:
                for port, value in zip((queue.addr, queue.data, queue.mask), done, strict=True):
                    ctx.set(port, value)
            await ctx.tick()
            most += 1
        ctx.set(queue.reserve, 0)
        ctx.set(queue.push, 0)
        await ctx.tick().until(queue.idle)
        if granting == 1:
            assert most <= len(work) * 8 // (latency + 2) + 20
        ctx.set(bench.sram.read.en, 1)
        for addr, value in enumerate(expected):
            ctx.set(bench.sram.read.addr, addr)
            await ctx.tick()
            assert ctx.get(bench.sram.read.data) == value, addr
        over = True

    async def grant(ctx):
        while not over:
            ctx.set(queue.port.ready, random.random() < granting)
            await ctx.tick()

    simulate(bench, drive, grant)
