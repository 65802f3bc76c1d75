"""Without these, a start could be lost or taken twice, or a cycle be counted twice."""

from __future__ import annotations

import random

from amaranth import Module
from amaranth.lib.wiring import In, Out

from backspike.hw.engine import Engine
from backspike.hw.memory.port import ReadPort, WritePort
from tests.hw.simulation import simulate

SEED = 109
AMOUNT_BITS = 3


class Scripted(Engine):
    """An engine that does what the test says."""

    def __init__(self):
        super().__init__(
            command=8,
            ports={"w_read": Out(ReadPort(width=4)), "conv_write": Out(WritePort(width=4))},
            counts={"lanes": AMOUNT_BITS},
            parameters={},
            members={
                "finished": In(1),
                "entering": In(1),
                "lanes": In(AMOUNT_BITS),
                "reads": In(1),
                "writes": In(1),
                "begins": Out(1),
            },
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.begins.eq(self.sequence(m, self.finished)),
            self.w_read.en.eq(self.reads),
            self.conv_write.en.eq(self.writes),
        ]
        self.count(m, entering=self.entering, lanes=self.lanes)
        return m


def test_an_engine_runs_from_start_to_done_and_counts_every_cycle_once():
    rng = random.Random(SEED)
    engine = Scripted()
    assert engine.memory_ports == ("w_read", "conv_write")
    names = ("busy", "stalled", "idle", "lanes", "w_reads", "conv_writes")
    ignored = 0

    async def testbench(ctx):
        nonlocal ignored
        running, counts = False, dict.fromkeys(names, 0)
        for _ in range(1000):
            start, finished = rng.random() < 0.3, rng.random() < 0.2
            entering, lanes = rng.getrandbits(1), rng.getrandbits(AMOUNT_BITS)
            reads, read_ready, writes, write_ready = (rng.getrandbits(1) for _ in range(4))
            clear = rng.random() < 0.02
            for signal, value in (
                (engine.start, start),
                (engine.finished, finished),
                (engine.entering, entering),
                (engine.lanes, lanes),
                (engine.reads, reads),
                (engine.w_read.ready, read_ready),
                (engine.writes, writes),
                (engine.conv_write.ready, write_ready),
                (engine.clear_counters, clear),
            ):
                ctx.set(signal, value)
            begins, done = start and not running, running and finished
            ignored += start and done
            assert ctx.get(engine.running) == running
            assert ctx.get(engine.begins) == begins
            assert ctx.get(engine.done) == done
            assert {name: ctx.get(engine.counters[name]) for name in names} == counts
            counts["busy"] += running and entering
            counts["stalled"] += running and not entering
            counts["idle"] += not running
            counts["lanes"] += lanes
            counts["w_reads"] += reads & read_ready
            counts["conv_writes"] += writes & write_ready
            if clear:
                counts = dict.fromkeys(names, 0)
            running = begins or (running and not done)
            await ctx.tick()

    simulate(engine, testbench)
    assert ignored, "no start ever came with done"
