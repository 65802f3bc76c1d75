"""Without this, a program could be told to be done and to have failed, or go on after an error."""

from __future__ import annotations

from backspike.compiler.assembling.program import Program
from backspike.hw.control.controller import Controller, Progress
from backspike.hw.isa.instruction import Fault
from backspike.hw.isa.table import UNITS, IsaShape
from backspike.hw.presets import load
from tests.hw.simulation import pulse, simulate

CONFIG = load("tiny")
SHAPE = IsaShape.from_config(CONFIG)
TIMEOUT = 200


def outcome(transfers: int, *, takes: int, failing: int | None = None, timeout: int = 1 << 20):
    """Progress, fault, position and how many start, of DMA_RD one behind the other."""
    program = Program(SHAPE, "fp")
    for _ in range(transfers):
        program.add("DMA_RD", {"sram": 3}, reason="")
    program.end()
    bits = CONFIG.dram.bus_bits
    raw = b"".join(word.to_bytes(4, "little") for word in program.words) + bytes(4096)
    controller = Controller(shape=SHAPE, subcore="fp", bus_bits=bits)
    found = []

    async def bench(ctx):
        ctx.set(controller.timeout, timeout)
        await pulse(ctx, controller.start)
        ctx.set(controller.bus.arready, 1)
        beats, left, started = [], 0, 0
        while ctx.get(controller.progress) == Progress.RUNNING:
            ctx.set(controller.bus.rvalid, bool(beats))
            if beats:
                at = beats.pop(0)
                word = int.from_bytes(raw[at : at + bits // 8], "little")
                ctx.set(controller.bus.rdata, word)
            if ctx.get(controller.bus.arvalid):
                first, count = ctx.get(controller.bus.araddr), ctx.get(controller.bus.arlen) + 1
                beats += range(first, first + count * bits // 8, bits // 8)
            ends = left == 1
            left = max(0, left - 1)
            ctx.set(controller.read_done, ends)
            bad = ends and started - 1 == failing
            ctx.set(controller.error, bad << UNITS["fp"].index("read"))
            if ctx.get(controller.read_start):
                left, started = takes, started + 1
            await ctx.tick()
        found.append(ctx.get(controller.progress))
        found.append(Fault(ctx.get(controller.fault)))
        found.append(ctx.get(controller.position))
        found.append(started)

    simulate(controller, bench)
    return found


def test_a_program_is_done_or_has_failed():
    ends = {tuple(outcome(1, takes=takes, timeout=TIMEOUT)[:2]) for takes in range(190, 215)}
    assert ends == {(Progress.DONE, Fault.NONE), (Progress.STOPPED, Fault.TIMEOUT)}


def test_nothing_starts_behind_an_error():
    assert outcome(3, takes=400, failing=0) == [Progress.STOPPED, Fault.BUS, 0, 1]
