"""Loops of a program, and the address registers that they step."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce
from backspike.hw.control.fetch import POSITION_BITS
from backspike.hw.isa.control import LOOP_LEVELS, LOOP_STEPS, REGISTER_BITS, REGISTERS
from backspike.hw.limits import COUNT_BITS, WORD_BITS

__all__ = ["ProgramLoops"]

STEP_BITS = LOOP_STEPS.bit_length()


class ProgramLoops(EmitOnce):
    """A stack of loops, each with the steps of some address registers.

    A step is noted with the value that its register has then. At the end of the body the steps are
    gone through, one in a cycle: added, or after the last time undone.

    Members
    -------
    clear : In(1)
        No loops, and all registers 0 after 16 cycles, in which ``busy`` is high.
    select : In(4), value : Out(32)
        An address register, in the same cycle; number 0 is always 0.
    note : In(1), index : In(3), register : In(4), step : In(32)
        Note a step of the loop that is about to begin.
    enter : In(1), count : In(12), begin, end : In(20)
        A loop begins whose body lies between these positions; not when ``full``.
    full, inside : Out(1)
        There is no room for another loop; there is a loop.
    position : In(20)
    at_end, beyond : Out(1)
        The innermost loop ends at the position, or has ended before it.
    again : In(1)
        Go through its steps, allowed if ``at_end``.
    busy : Out(1)
    jump : Out(1), target : Out(20)
        High for one cycle at the end of it if the body is to run again.
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "select": In(REGISTER_BITS),
                "value": Out(WORD_BITS),
                "note": In(1),
                "index": In(STEP_BITS),
                "register": In(REGISTER_BITS),
                "step": In(WORD_BITS),
                "enter": In(1),
                "count": In(COUNT_BITS),
                "begin": In(POSITION_BITS),
                "end": In(POSITION_BITS),
                "full": Out(1),
                "inside": Out(1),
                "position": In(POSITION_BITS),
                "at_end": Out(1),
                "beyond": Out(1),
                "again": In(1),
                "busy": Out(1),
                "jump": Out(1),
                "target": Out(POSITION_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = Memory(shape=WORD_BITS, depth=REGISTERS, init=[])
        operand = registers.read_port(domain="comb")
        m.d.comb += [operand.addr.eq(self.select), self.value.eq(operand.data)]
        before = registers.read_port(domain="comb")
        write = registers.write_port()

        # The innermost loop, and its steps in stretches of a power of two.
        loop = data.StructLayout({"left": COUNT_BITS, "begin": POSITION_BITS, "end": POSITION_BITS})
        m.submodules.stack = stack = Memory(shape=loop, depth=LOOP_LEVELS, init=[])
        top, push = stack.read_port(domain="comb"), stack.write_port()
        depth = Signal(range(LOOP_LEVELS + 1))
        innermost = Signal(range(LOOP_LEVELS))
        m.d.comb += [
            self.full.eq(depth == LOOP_LEVELS),
            self.inside.eq(depth != 0),
            innermost.eq(depth - 1),
            top.addr.eq(innermost),
            self.at_end.eq(self.inside & (self.position == top.data.end)),
            self.beyond.eq(self.inside & (self.position > top.data.end)),
            self.target.eq(top.data.begin),
            push.data.left.eq(Mux(self.enter, self.count, top.data.left) - 1),
            push.data.begin.eq(Mux(self.enter, self.begin, top.data.begin)),
            push.data.end.eq(Mux(self.enter, self.end, top.data.end)),
            push.addr.eq(Mux(self.enter, depth, innermost)),
        ]
        entry = data.StructLayout(
            {"register": REGISTER_BITS, "step": WORD_BITS, "before": WORD_BITS}
        )
        m.submodules.steps = steps = Memory(shape=entry, depth=LOOP_LEVELS << STEP_BITS, init=[])
        noted, note = steps.read_port(domain="comb"), steps.write_port()
        number = Signal(REGISTER_BITS)
        running, clearing = Signal(), Signal()
        m.d.comb += [
            note.en.eq(self.note & ~self.full),
            note.addr.eq((depth << STEP_BITS) | self.index),
            note.data.register.eq(self.register),
            note.data.step.eq(self.step),
            note.data.before.eq(before.data),
            noted.addr.eq((innermost << STEP_BITS) | number),
            before.addr.eq(Mux(running, noted.data.register, self.register)),
            self.busy.eq(running | clearing),
        ]
        more = Signal()
        m.d.comb += more.eq(top.data.left != 0)
        with m.If(clearing):
            m.d.comb += [write.addr.eq(number), write.en.eq(1)]
        with m.Elif(running):
            m.d.comb += [
                write.addr.eq(noted.data.register),
                write.en.eq(noted.data.register != 0),
                write.data.eq(Mux(more, before.data + noted.data.step, noted.data.before)),
            ]

        ends = Signal()
        m.d.comb += [
            ends.eq(running & (number == LOOP_STEPS - 1)),
            self.jump.eq(ends & more),
            push.en.eq(self.enter | self.jump),
        ]
        with m.If(self.clear):
            m.d.sync += [clearing.eq(1), running.eq(0), number.eq(0), depth.eq(0)]
        with m.Elif(clearing):
            m.d.sync += [number.eq(number + 1), clearing.eq(number != REGISTERS - 1)]
        with m.Elif(running):
            m.d.sync += number.eq(number + 1)
            with m.If(ends):
                m.d.sync += [running.eq(0), number.eq(0)]
                with m.If(~more):
                    m.d.sync += depth.eq(depth - 1)
        with m.Elif(self.again):
            m.d.sync += [running.eq(1), number.eq(0)]
        with m.Elif(self.enter):
            m.d.sync += depth.eq(depth + 1)
        return m
