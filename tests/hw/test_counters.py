"""Without this, a counter could miss events, count those of another, or outlive a clear."""

from __future__ import annotations

import random

from backspike.hw.counters import COUNTER_BITS, Counters
from tests.hw.simulation import simulate

SEED = 89


def test_each_counter_adds_the_amounts_of_its_event():
    rng = random.Random(SEED)
    sizes = {"starts": 1, "words": 3, "terms": 9}
    counters = Counters(**sizes)

    async def testbench(ctx):
        counts = dict.fromkeys(sizes, 0)
        for _ in range(300):
            clear = rng.random() < 0.02
            events = {name: rng.choice([0, rng.getrandbits(bits)]) for name, bits in sizes.items()}
            ctx.set(counters.clear, clear)
            for name, amount in events.items():
                ctx.set(counters.events[name], amount)
            await ctx.tick()
            counts = {name: 0 if clear else count + events[name] for name, count in counts.items()}
            for name, count in counts.items():
                assert ctx.get(counters.values[name]) == count % (1 << COUNTER_BITS)

    simulate(counters, testbench)
