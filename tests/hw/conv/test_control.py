"""Without these, a psum could be taken or written in another cycle than that of its own sum."""

from __future__ import annotations

import random
from collections import deque

import pytest

from backspike.hw.conv.control import StepControl
from backspike.hw.limits import ADDRESS_BITS
from tests.hw.simulation import simulate

SEED = 107


@pytest.mark.parametrize("fire_lanes", [0, 3])
@pytest.mark.parametrize("latency", [1, 2, 6])
def test_a_step_is_added_a_cycle_before_its_psum_is_there(latency, fire_lanes):
    rng = random.Random(f"{SEED}{latency}{fire_lanes}")
    control = StepControl(latency=latency, fire_lanes=fire_lanes)
    nothing = {"valid": 0, "first": 0, "last": 0, "read": 0, "write": 0, "addr": 0}
    # The step of this cycle is on the right, and that whose psum is complete on the left.
    steps = deque([nothing] * (latency + 1), maxlen=latency + 1)

    async def testbench(ctx):
        for cycle in range(600):
            # Stretches without a step are at times longer than the pipeline.
            step = {name: rng.getrandbits(1) for name in nothing}
            step |= {"valid": int(cycle // 20 % 3 and rng.random() < 0.8)}
            step |= {"addr": rng.getrandbits(ADDRESS_BITS)}
            steps.append(step)
            for name in ("valid", "first", "last"):
                ctx.set(getattr(control, name), step[name])
            for name in ("read", "write", "addr"):
                ctx.set(control.pixel[name], step[name])
            done, adding = steps[0], steps[1]
            assert ctx.get(control.adds) == adding["valid"]
            if adding["valid"]:
                assert ctx.get(control.adds_first) == adding["first"]
                assert ctx.get(control.adds_read) == adding["read"]
            pops = adding["valid"] and adding["first"] and adding["read"]
            assert ctx.get(control.pop) == pops
            pushes = done["valid"] and done["last"] and done["write"]
            assert ctx.get(control.push) == pushes
            if pushes:
                assert ctx.get(control.push_addr) == done["addr"]
            assert ctx.get(control.empty) == (not any(step["valid"] for step in steps))
            await ctx.tick()

    simulate(control, testbench)
