"""Without these, a stall of a memory could lose, double or reorder words."""

import numpy as np
import pytest

from backspike.hw.memory.stream import ReadStream, WriteQueue
from tests.hw.channels import give
from tests.hw.ports import read_memory, write_memory
from tests.hw.simulation import pause, simulate


@pytest.mark.parametrize(
    ("asking", "granting", "taking"), [(1, 1, 1), (0.5, 0.5, 0.5), (1, 0.3, 1), (1, 1, 0.3)]
)
def test_read_stream_keeps_order_under_stalls(asking, granting, taking):
    random = np.random.default_rng(7)
    stream = ReadStream(width=8, tag_bits=6, depth=4)
    requests = [
        (int(a), bool(r))
        for a, r in zip(random.integers(0, 64, 200), random.random(200) < 0.8, strict=True)
    ]
    cycles, taken = 0, []

    async def ask(ctx):
        for number, (addr, read) in enumerate(requests):
            await pause(ctx, random, 1 - asking)
            await give(ctx, stream, channel="i_", addr=addr, read=read, tag=number % 64)

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

    memory = read_memory(
        stream.port, lambda address: 255 - address, ready=lambda: random.random() < granting
    )
    simulate(stream, ask, take, background=[memory])
    if asking == granting == taking == 1:
        assert cycles == len(requests) + 2


@pytest.mark.parametrize("granting", [1, 0.3])
def test_write_queue_writes_all_that_was_reserved(granting):
    random = np.random.default_rng(11)
    latency = 5
    queue = WriteQueue(width=16, granules=2, depth=8)
    work = [(int(a), int(d), int(k)) for a, d, k in random.integers(0, (64, 1 << 16, 4), (150, 3))]
    written = []

    async def drive(ctx):
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
        # What was reserved in vain is not written.
        assert written == [each for each in work if each[2]]

    memory = write_memory(
        queue.port, lambda *taken: written.append(taken), ready=lambda: random.random() < granting
    )
    simulate(queue, drive, background=[memory])
