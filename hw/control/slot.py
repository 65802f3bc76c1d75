"""Where a decoded instruction waits for its engine, and for what a barrier says."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import ValueCastable
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce
from backspike.hw.control.microcode import FILE_BITS
from backspike.hw.isa.table import BOXES, OUTSTANDING, UNITS
from backspike.hw.isa.units import UNIT_REGISTERS
from backspike.hw.limits import WORD_BITS

__all__ = ["OUTSTANDING_BITS", "Slot", "assign"]

OUTSTANDING_BITS = OUTSTANDING.bit_length()
"""Bits of the number of instructions of a unit that are decoded and not done."""


def assign(target, fields):
    """Statements that give a struct, or a value, the fields in nested dictionaries and lists."""
    if isinstance(fields, dict):
        return [each for name, field in fields.items() for each in assign(target[name], field)]
    if isinstance(fields, list):
        return [each for i, field in enumerate(fields) for each in assign(target[i], field)]
    if isinstance(target, ValueCastable) and not isinstance(fields, ValueCastable):
        return [target.as_value().eq(fields)]
    return [target.eq(fields)]


class Slot(EmitOnce):
    """Two instructions of one unit: one at the engine, and one that is written meanwhile.

    The one at the engine starts at once, unless it has to wait: for instructions of units that were
    in front of a barrier, or for messages. From ``done`` to ``start`` of the next is one cycle, and
    two from that of another unit.

    Parameters
    ----------
    subcore, unit : str
        As in :data:`backspike.hw.isa.table.UNITS`.

    Members
    -------
    reset : In(1)
        Forget all that waits.
    clear : In(1), write : In(1), index : In(6), value : In(32)
        Zero the registers of the instruction that is being decoded, and write one of them; only
        while ``free``.
    commit : In(1)
        It is complete.
    barrier : In(1), after : In(units), boxes : In(8)
        The next one committed waits for all that these units have outstanding, and for messages;
        only while ``clear_of_waits``.
    outstanding : In(units x 2), completed : In(units)
        Of all units of the sub-core.
    messages : In(8), takes : Out(8), waiting : Out(8)
        Boxes with a message; out of which one is taken; and out of which one will be, when what the
        engine's next instruction waits for is there.
    frozen : In(1)
        Start nothing.
    free, clear_of_waits, busy : Out(1), count : Out(2)
        There is room for an instruction; and none is there that may have to wait, so that what the
        next one waits for can be told; one is at work; how many there are.
    place, oldest : Out(1)
        Which of two places is that of the next one committed, and which that of the one at the
        engine, or else of the one behind it: for what others keep about it.
    start : Out(1), command : Out(command), done : In(1)
        To the engine.
    """

    def __init__(self, *, subcore: str, unit: str):
        self._registers = UNIT_REGISTERS[unit]
        self._units = len(UNITS[subcore])
        units = self._units
        super().__init__(
            {
                "reset": In(1),
                "clear": In(1),
                "write": In(1),
                "index": In(FILE_BITS),
                "value": In(WORD_BITS),
                "commit": In(1),
                "barrier": In(1),
                "after": In(units),
                "boxes": In(BOXES),
                "outstanding": In(data.ArrayLayout(OUTSTANDING_BITS, units)),
                "completed": In(units),
                "messages": In(BOXES),
                "takes": Out(BOXES),
                "waiting": Out(BOXES),
                "frozen": In(1),
                "free": Out(1),
                "clear_of_waits": Out(1),
                "busy": Out(1),
                "count": Out(OUTSTANDING_BITS),
                "place": Out(1),
                "oldest": Out(1),
                "start": Out(1),
                "command": Out(self._registers.command),
                "done": In(1),
            },
            subcore=subcore,
            unit=unit,
        )

    def elaborate(self, platform):
        m = Module()
        # One is behind another; moves on to the engine; is held there; starts.
        behind, moves, held, launch = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.free.eq(~behind),
            self.clear_of_waits.eq(~behind & ~held),
            self.count.eq(behind + (held | self.busy)),
            moves.eq(behind & ~held & (~self.busy | self.done)),
        ]

        self._command(m, moves)
        over, left_boxes = self._waits(m, launch)
        m.d.comb += [
            launch.eq((moves | held) & over & ((left_boxes & ~self.messages) == 0) & ~self.frozen),
            self.takes.eq(Mux(launch, left_boxes, 0)),
            self.waiting.eq(Mux(held, left_boxes, 0)),
        ]
        with m.If(self.reset | moves):
            m.d.sync += behind.eq(0)
        with m.Elif(self.commit):
            m.d.sync += behind.eq(1)
        m.d.sync += held.eq((moves | held) & ~launch & ~self.reset)
        with m.If(launch):
            m.d.sync += self.busy.eq(1)
        with m.Elif(self.done):
            m.d.sync += self.busy.eq(0)
        m.d.sync += self.start.eq(launch)

        m.d.sync += self.place.eq(self.place ^ self.commit)
        m.d.comb += self.oldest.eq(self.place ^ ~(behind & (held | self.busy)))
        return m

    def _command(self, m: Module, moves) -> None:
        """The registers of the command, and of the one behind it."""
        # Written one by one, moved on all at once.
        now = {}
        for number, (name, bits) in enumerate(self._registers.bits.items()):
            # Cleared for each instruction: another reset would take LUTs.
            after = Signal(bits, name=f"next_{name}", reset_less=True)
            current = Signal(bits, name=f"now_{name}")
            with m.If(self.write & (self.index == number)):
                m.d.sync += after.eq(self.value)
            with m.If(self.clear):
                m.d.sync += after.eq(0)
            with m.If(moves):
                m.d.sync += current.eq(after)
            now[name] = current
        m.d.comb += assign(self.command, self._registers.expand(now))

    def _waits(self, m: Module, launch) -> tuple[Value, Signal]:
        """What has to come before the next instruction that starts.

        Returns whether all that units had outstanding is done, and boxes whose messages it takes.
        """
        # Of each unit: how many of its instructions are to be done yet.
        clears = []
        for unit in range(self._units):
            left = Signal(OUTSTANDING_BITS, name=f"left_{unit}")
            seen = Mux(self.barrier & self.after[unit], self.outstanding[unit], left)
            with m.If(self.reset):
                m.d.sync += left.eq(0)
            with m.Else():
                m.d.sync += left.eq(seen - (self.completed[unit] & (seen != 0)))
            clears.append(left == 0)
        left_boxes = Signal(BOXES)
        with m.If(self.reset | launch):
            m.d.sync += left_boxes.eq(0)
        with m.Elif(self.barrier):
            m.d.sync += left_boxes.eq(left_boxes | self.boxes)
        return Cat(clears).all(), left_boxes
