"""Without these, NOC_CTRL could lose or repeat a message, or act for a program that was stopped."""

from __future__ import annotations

import random
from collections import Counter

from backspike.hw.isa.table import BOXES, Control
from backspike.hw.noc.control import NocControl
from backspike.hw.noc.packet import Kind
from tests.hw.simulation import simulate

SEED = 311
INSTRUCTIONS = 600
REMOTE = {Control.REMOTE_SIGNAL: Kind.SIGNAL, Control.REMOTE_COLLECT: Kind.COLLECT}


def test_each_instruction_acts_once_when_it_may_or_is_given_up():
    rng = random.Random(SEED)
    unit = NocControl()
    seen: Counter[str] = Counter()

    async def program(ctx):
        left = 0  # cycles in which the network still has something pending
        for _ in range(INSTRUCTIONS):
            flow, box = rng.choice(list(Control)), rng.randrange(BOXES)
            ctx.set(unit.flow_type, flow.value)
            ctx.set(unit.msg_box, box)
            ctx.set(unit.start, 1)
            ctx.set(unit.running, 1)
            assert (ctx.get(unit.done), ctx.get(unit.give_up)) == (0, 1)
            await ctx.tick()
            ctx.set(unit.start, 0)
            left = max(0, left - 1)
            stops, posted, over = rng.random() < 0.3, False, False
            while not over:
                full, running = rng.getrandbits(BOXES), not (stops and rng.random() < 0.3)
                ctx.set(unit.full, full)
                ctx.set(unit.running, running)
                ctx.set(unit.pending, left > 0)
                asks = flow in REMOTE and running and not posted and left == 0
                may = {Control.SIGNAL: not full >> box & 1}.get(flow, True)
                acts = running and (posted and left == 0 if flow in REMOTE else may)
                over = acts or not running
                expected = {
                    "done": over,
                    "signals": 1 << box if acts and flow is Control.SIGNAL else 0,
                    "asks": asks,
                    "clears": acts and flow is Control.CLEAR,
                    "collects": acts and flow is Control.COLLECT,
                    "give_up": False,
                }
                assert {name: ctx.get(getattr(unit, name)) for name in expected} == expected
                if asks:
                    assert ctx.get(unit.kind) == REMOTE[flow]
                seen["waits for an earlier reply"] += flow in REMOTE and not posted and left > 0
                seen["given up, reply under way"] += not running and left > 0
                seen["waits for its box"] += flow is Control.SIGNAL and not over
                await ctx.tick()
                left = rng.randrange(1, 6) if asks else max(0, left - 1)
                posted |= asks

    simulate(unit, program)
    assert min(seen.values()) > 3, seen
