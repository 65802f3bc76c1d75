"""Without these, words that are lost, doubled or misplaced under stalls would go unnoticed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from backspike.hw.noc.copy import CopyEngine, Route
from backspike.sim.harness.bench import EngineBench
from backspike.sim.harness.cosim import run
from tests.hw.launch import environment
from tests.hw.noc.settings import BenchSettings
from tests.hw.simulation import simulate

SEED = 4711
CORE = (
    Route("s_out", "s_in", 256, 16),
    Route("s_out", "bp_s", 256, 16),
    Route("spike", "bp_s", 256, 16),
    Route("u", "bp_u", 256, 16),
)
"""As in an FP sub-core: memories shared by routes, at either end."""
UNEQUAL = (Route("a", "b", 16, 2), Route("c", "d", 72, 9), Route("a", "e", 16, 1))
"""Words of several sizes, one of them no power of two."""
ONE = (Route("du", "du_next", 64, 4),)


@pytest.mark.parametrize("routes", [CORE, UNEQUAL], ids=["core", "unequal"])
def test_copy_engine_equals_numpy(routes):
    settings = BenchSettings(routes=routes, seed=SEED)
    print(settings)
    run(
        EngineBench(settings.engine(), settings.depths),
        "tests.hw.noc.cocotb_copy",
        environment=environment(settings),
    )


def test_ready_decides_on_no_request():
    """What a memory is asked for may decide on ``ready`` of another: a way back would be a loop."""
    print(f"{SEED=}")
    random = np.random.default_rng(SEED)
    engine = CopyEngine(routes=ONE)
    read, write = engine.du_read, engine.du_next_write
    requests = (read.en, read.addr, write.en, write.addr)

    async def testbench(ctx):
        ctx.set(engine.command, {"words": 5, "rows": 12, "destination_row": 7})
        ctx.set(engine.start, 1)
        done = False
        while not done:
            found = set()
            for readies in itertools.product((0, 1), repeat=2):
                ctx.set(read.ready, readies[0])
                ctx.set(write.ready, readies[1])
                found.add(tuple(ctx.get(signal) for signal in requests))
            assert len(found) == 1
            ctx.set(read.ready, random.random() < 0.6)
            ctx.set(write.ready, random.random() < 0.6)
            done = ctx.get(engine.done)
            await ctx.tick()
            ctx.set(engine.start, 0)
        # Counters are set in the cycle after what they count.
        assert ctx.get(engine.counters.busy) == 60

    simulate(engine, testbench, limit=1000)


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ((), "CopyEngine routes must be 1 to 8, not 0"),
        (ONE * 9, "CopyEngine routes must be 1 to 8, not 9"),
        (
            (Route("a", "b", 8, 1), Route("a", "c", 16, 1)),
            "CopyEngine routes must agree on the words of a_read",
        ),
        (
            (Route("a", "c", 8, 1), Route("b", "c", 8, 2)),
            "CopyEngine routes must agree on the words of c_write",
        ),
    ],
)
def test_impossible_routes_are_refused(routes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        CopyEngine(routes=routes)
