"""Without these, a stall of a memory could lose, double or reorder words."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib.wiring import Component

from backspike.hw.memory.sram import Sram
from backspike.hw.memory.stream import ReadStream, WriteQueue
from tests.hw.simulation import simulate


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
