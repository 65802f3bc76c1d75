"""Without these, a sub-core could take a wrong word for the next one, once in a long program."""

from __future__ import annotations

import random
from collections import deque

import pytest

from backspike.hw.control.fetch import PROGRAM_ALIGNMENT, ProgramFetch
from backspike.hw.dma.axi import INCREMENT
from tests.hw.simulation import pause, pulse, simulate

SEED = 43
PROGRAM = 240
"""Words of a program."""
TAKEN = 180
"""Words that are taken of one, before it is stopped."""
SLAVE_ERROR = 2
BUSES = pytest.mark.parametrize(
    ("bus_bits", "beats", "burst"), [(32, 32, 4), (64, 16, 2), (256, 16, 2)]
)


class Dram:
    """Programs by their address, and the bus to them, which checks what it is asked.

    An answer comes after a while, with gaps, and with an error for the beats in ``bad``.
    """

    def __init__(self, fetch, rng, *, bus_bits: int, hurry: float):
        self._fetch = fetch
        self._rng = rng
        self._bytes = bus_bits // 8
        self._hurry = hurry
        self.words: dict[int, int] = {}
        self.bad: set[int] = set()
        self.asked: list[int] = []
        """First beat of each burst, by its address."""

    def add(self, base: int, *, bad: int = 0) -> list[int | None]:
        """A program there, with so many beats that cannot be read: its words, None for theirs."""
        words = [self._rng.getrandbits(32) for _ in range(PROGRAM)]
        self.words |= {base + 4 * i: word for i, word in enumerate(words)}
        beats = range(base, base + 4 * PROGRAM, self._bytes)
        self.bad |= set(self._rng.sample(beats, bad))
        return [
            None if base + 4 * i & -self._bytes in self.bad else word
            for i, word in enumerate(words)
        ]

    async def serve(self, ctx):
        bus = self._fetch.bus
        answers: deque[int] = deque()
        held = None
        while True:
            ready = self._rng.random() < self._hurry
            answer = answers[0] if answers and self._rng.random() < self._hurry else None
            ctx.set(bus.arready, ready)
            ctx.set(bus.rvalid, answer is not None)
            # What is not valid means nothing.
            beat = self._rng.getrandbits(8 * self._bytes)
            if answer is not None and answer not in self.bad:
                beat = sum(
                    self.words.get(answer + at, 0) << 8 * at for at in range(0, self._bytes, 4)
                )
            ctx.set(bus.rdata, beat)
            ctx.set(bus.rresp, SLAVE_ERROR if answer is None or answer in self.bad else 0)
            _, _, asks, address, length, size, burst, taken = await ctx.tick().sample(
                bus.arvalid, bus.araddr, bus.arlen, bus.arsize, bus.arburst, bus.rready
            )
            assert held is None or (asks and address == held), "a request was withdrawn"
            held = address if asks and not ready else None
            if asks and ready:
                stretch = (length + 1) * self._bytes
                assert (1 << size, burst) == (self._bytes, INCREMENT)
                assert address % stretch == 0 and stretch <= PROGRAM_ALIGNMENT
                self.asked.append(address)
                answers += range(address, address + stretch, self._bytes)
            if answer is not None and taken:
                answers.popleft()


async def begin(ctx, fetch, base):
    """As the controller does, which keeps a fetch stopped up to the start of a program."""
    ctx.set(fetch.base, base)
    await pulse(ctx, fetch.start)
    ctx.set(fetch.stop, 0)


async def jump(ctx, fetch, target):
    ctx.set(fetch.target, target)
    await pulse(ctx, fetch.jump)


async def take(ctx, fetch, words, position) -> bool:
    """Waits for the word at ``position`` and takes it; whether it could be read."""
    while not ctx.get(fetch.valid):
        await ctx.tick()
    assert ctx.get(fetch.position) == position
    assert ctx.get(fetch.error) == (words[position] is None), f"word {position}"
    if words[position] is not None:
        assert ctx.get(fetch.word) == words[position], f"word {position}"
    await pulse(ctx, fetch.take)
    return words[position] is not None


@pytest.mark.parametrize("hurry", [1.0, 0.5, 0.2])
@BUSES
def test_every_word_is_that_of_its_position(bus_bits, beats, burst, hurry):
    """Programs one behind the other, with jumps back to anywhere, stopped at any time."""
    rng = random.Random(f"{SEED}{bus_bits}{hurry}")
    fetch = ProgramFetch(bus_bits=bus_bits, beats=beats, burst=burst)
    dram = Dram(fetch, rng, bus_bits=bus_bits, hurry=hurry)
    errors = 0

    async def bench(ctx):
        nonlocal errors
        ctx.set(fetch.stop, 1)
        for program in range(3):
            base = 0x40_0000_0000 + program * 0x1_0000 + PROGRAM_ALIGNMENT * rng.randrange(8)
            words = dram.add(base, bad=5)
            await begin(ctx, fetch, base)
            position = 0
            for _ in range(TAKEN):
                if rng.random() < 0.03:
                    # Half of them within what the buffer keeps for sure.
                    near = (beats // 2 - burst - 1) * bus_bits // 32
                    position = rng.randint(rng.choice([0, max(0, position - near)]), position)
                    await jump(ctx, fetch, position)
                await pause(ctx, rng, 1 - hurry)
                errors += not await take(ctx, fetch, words, position)
                position += 1
            ctx.set(fetch.stop, 1)
            for _ in range(rng.randrange(12)):
                await ctx.tick()
                assert not ctx.get(fetch.valid)

    simulate(fetch, bench, background=[dram.serve])
    assert errors


@pytest.mark.parametrize("bus_bits", [64, 256])
def test_a_jump_finds_what_the_buffer_was_about_to_lose(bus_bits):
    """To each beat that may or may not be there any more, and some time spent at it."""
    beats, burst = 16, 2
    rng = random.Random(f"{SEED}{bus_bits}")
    fetch = ProgramFetch(bus_bits=bus_bits, beats=beats, burst=burst)
    dram = Dram(fetch, rng, bus_bits=bus_bits, hurry=0.5)
    per_beat = bus_bits // 32

    async def bench(ctx):
        words = dram.add(0)
        for back in range(beats // 2, beats + 1):
            for wait in range(8):
                ctx.set(fetch.stop, 1)
                await ctx.tick()
                await begin(ctx, fetch, 0)
                end = (beats + 2) * per_beat
                for position in range(end):
                    await take(ctx, fetch, words, position)
                for _ in range(wait):
                    await ctx.tick()
                target = end - back * per_beat
                await jump(ctx, fetch, target)
                for _ in range(20):
                    await ctx.tick()
                for position in range(target, target + burst * per_beat):
                    await take(ctx, fetch, words, position)

    simulate(fetch, bench, background=[dram.serve], limit=100_000)


@pytest.mark.parametrize("bus_bits", [32, 128])
def test_a_loop_within_half_of_the_buffer_is_read_once_and_at_a_word_a_cycle(bus_bits):
    beats, burst = 32, 4
    fetch = ProgramFetch(bus_bits=bus_bits, beats=beats, burst=burst)
    dram = Dram(fetch, random.Random(SEED), bus_bits=bus_bits, hurry=1.0)
    body = (beats // 2 - burst) * bus_bits // 32

    async def bench(ctx):
        words = dram.add(0)
        await begin(ctx, fetch, 0)
        for _ in range(4 * beats):
            await ctx.tick()
        assert burst * len(dram.asked) == beats // 2
        for _ in range(4):
            for position in range(body):
                assert ctx.get(fetch.valid), f"word {position} came late"
                await take(ctx, fetch, words, position)
            await jump(ctx, fetch, 0)

    simulate(fetch, bench, background=[dram.serve])
    assert dram.asked == sorted(set(dram.asked)), "something was read twice"
    assert max(dram.asked) < 4 * body + beats // 2 * bus_bits // 8, "it ran too far ahead"


def test_what_is_on_its_way_at_a_stop_is_no_word_of_the_next_program():
    fetch = ProgramFetch(bus_bits=64, beats=16, burst=2)
    dram = Dram(fetch, random.Random(SEED), bus_bits=64, hurry=0.3)

    async def bench(ctx):
        programs = [(base, dram.add(base)) for base in (0x1000, 0x8000)]
        for stopped in range(40):
            for after, (base, words) in zip((stopped, None), programs, strict=True):
                await begin(ctx, fetch, base)
                if after is None:
                    await take(ctx, fetch, words, 0)
                for _ in range(after or 0):
                    await ctx.tick()
                ctx.set(fetch.stop, 1)
                await ctx.tick()
                assert not ctx.get(fetch.valid)

    simulate(fetch, bench, background=[dram.serve])
