"""The controller of a sub-core: runs one program, and stops where it is wrong."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.control.alu import FAULT_BITS
from backspike.hw.control.decoder import Decoder
from backspike.hw.control.fetch import POSITION_BITS, ProgramFetch
from backspike.hw.control.slot import Slot
from backspike.hw.dma.axi import DRAM_BITS, AxiRead
from backspike.hw.isa.instruction import Fault
from backspike.hw.isa.table import BOX_MESSAGES, BOXES, UNITS, IsaShape
from backspike.hw.isa.units import UNIT_REGISTERS

__all__ = ["TIMEOUT_BITS", "Controller", "Progress"]

TIMEOUT_BITS = 32


class Progress(enum.Enum, shape=2):
    """What has become of a program."""

    IDLE = 0
    RUNNING = 1
    DONE = 2
    STOPPED = 3


class Controller(EmitOnce):
    """Fetches, decodes and checks instructions, and starts each when what it waits for is done.

    An instruction that is refused stops the program there: those in front of it are completed,
    it and all behind it do nothing. After a bus error of a DMA, what goes out of the core without a
    connection, and when nothing has started or ended for ``timeout`` cycles, nothing that is not at
    work yet is started either.

    Parameters
    ----------
    shape : IsaShape, subcore : str
        As of :func:`backspike.hw.isa.table.instruction_set`.
    bus_bits : int
        Bits of a beat of the bus.

    Members
    -------
    start : In(1), program : In(40)
        Run the program at this address in DRAM; ignored while running.
    timeout : In(32)
        Cycles, from 1.
    progress : Out(Progress), fault : Out(4), position : Out(20)
        What has become of the program; if it has stopped, why, and where the instruction stands,
        in words from the beginning of the program.
    begins : Out(1)
        A start is accepted in this cycle.
    forget : In(1)
        Empty the message boxes. A start does not: others may have started before.
    signal : In(8), full : Out(8)
        Put a message in boxes, unless they are full.
    waiting : Out(8)
        Empty boxes that an instruction waits for.
    <unit>_start : Out(1), <unit>_command : Out(command), <unit>_done : In(1)
        To the engines.
    error : In(units)
        Beside ``done``: the bus answered with an error; of ``noc``, that there is no connection.
    bus : Out(AxiRead)
        Program words.
    """

    _shape = Parameter[IsaShape]()
    _subcore = Parameter[str]()
    _bus_bits = Parameter[int]()

    def __init__(self, *, shape: IsaShape, subcore: str, bus_bits: int):
        self._units = UNITS[subcore]
        members = {}
        for unit in self._units:
            members[f"{unit}_start"] = Out(1)
            members[f"{unit}_command"] = Out(UNIT_REGISTERS[unit].command)
            members[f"{unit}_done"] = In(1)
        super().__init__(
            {
                "start": In(1),
                "program": In(DRAM_BITS),
                "timeout": In(TIMEOUT_BITS),
                "progress": Out(Progress),
                "fault": Out(FAULT_BITS),
                "position": Out(POSITION_BITS),
                "begins": Out(1),
                "forget": In(1),
                "signal": In(BOXES),
                "full": Out(BOXES),
                "waiting": Out(BOXES),
                **members,
                "error": In(len(self._units)),
                "bus": Out(AxiRead(data_bits=bus_bits)),
            },
            shape=shape,
            subcore=subcore,
            bus_bits=bus_bits,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = ProgramFetch(bus_bits=self._bus_bits)
        m.submodules.decoder = decoder = Decoder(shape=self._shape, subcore=self._subcore)
        connect(m, fetch.bus, flipped(self.bus))
        running = self.progress == Progress.RUNNING
        m.d.comb += [
            self.begins.eq(self.start & ~running),
            fetch.start.eq(self.begins),
            fetch.base.eq(self.program),
            fetch.stop.eq(~decoder.running),
            fetch.take.eq(decoder.take),
            fetch.jump.eq(decoder.jump),
            fetch.target.eq(decoder.target),
            decoder.start.eq(self.begins),
            decoder.valid.eq(fetch.valid),
            decoder.word.eq(fetch.word),
            decoder.error.eq(fetch.error),
            decoder.position.eq(fetch.position),
        ]

        # Nothing starts any more, and why: not even in the cycle in which that turns out.
        frozen, freezes = Signal(), Signal()
        messages = Signal(BOXES)
        slots = [Slot(subcore=self._subcore, unit=unit) for unit in self._units]
        done = Cat(getattr(self, f"{unit}_done") for unit in self._units)
        for number, (unit, slot) in enumerate(zip(self._units, slots, strict=True)):
            m.submodules[f"slot_{unit}"] = slot
            here = decoder.unit[number]
            m.d.comb += [
                slot.reset.eq(self.begins),
                slot.clear.eq(decoder.clear & here),
                slot.write.eq(decoder.write & here),
                slot.index.eq(decoder.index),
                slot.value.eq(decoder.data),
                slot.commit.eq(decoder.commit & here),
                slot.barrier.eq(decoder.barrier[number]),
                slot.after.eq(decoder.after),
                slot.boxes.eq(decoder.boxes),
                slot.completed.eq(done),
                slot.messages.eq(messages),
                slot.frozen.eq(frozen | freezes | ~running),
                slot.done.eq(getattr(self, f"{unit}_done")),
                decoder.free[number].eq(slot.free),
                decoder.clear_of_waits[number].eq(slot.clear_of_waits),
                getattr(self, f"{unit}_start").eq(slot.start),
                getattr(self, f"{unit}_command").eq(slot.command),
                *(slot.outstanding[other].eq(each.count) for other, each in enumerate(slots)),
            ]
        held, busy = Cat(slot.count.any() for slot in slots), Cat(slot.busy for slot in slots)
        m.d.comb += [
            decoder.idle.eq(~held.any()),
            self.waiting.eq(reduce(or_, (slot.waiting for slot in slots)) & ~messages),
        ]

        self._boxes(m, slots, messages)
        fault, where, still = self._faults(m, decoder, slots, running, held, done, freezes)
        m.d.comb += decoder.halt.eq(running & (fault != Fault.NONE))

        stopping = Signal()
        with m.If(self.begins):
            m.d.sync += [
                self.progress.eq(Progress.RUNNING),
                self.fault.eq(Fault.NONE),
                self.position.eq(0),
                frozen.eq(0),
                stopping.eq(0),
            ]
        with m.Elif(running):
            with m.If((fault != Fault.NONE) & (~stopping | (freezes & ~frozen))):
                m.d.sync += [self.fault.eq(fault), self.position.eq(where), stopping.eq(1)]
            with m.If(freezes):
                m.d.sync += frozen.eq(1)
            # What was in front is completed, unless it cannot be.
            with m.If(stopping & (~held.any() | (frozen & ~busy.any()) | still)):
                m.d.sync += self.progress.eq(Progress.STOPPED)
            with m.Elif(decoder.finished & (fault == Fault.NONE)):
                m.d.sync += self.progress.eq(Progress.DONE)
        return m

    def _boxes(self, m: Module, slots, messages) -> None:
        """Counts the messages in each box, and tells which have some."""
        for box in range(BOXES):
            level = Signal(range(BOX_MESSAGES + 1), name=f"box_{box}")
            takes = Cat(slot.takes[box] for slot in slots).any()
            m.d.comb += [messages[box].eq(level != 0), self.full[box].eq(level == BOX_MESSAGES)]
            with m.If(self.forget):
                m.d.sync += level.eq(0)
            with m.Else():
                m.d.sync += level.eq(level + self.signal[box] - takes)

    def _faults(self, m: Module, decoder: Decoder, slots, running, held, done, freezes):
        """What goes wrong: of several, that which stands in front, for the decoder runs ahead.

        Returns the fault, its position, and whether nothing has moved for too long; drives
        ``freezes`` where nothing may start any more.
        """
        still, idle_for = Signal(), Signal(TIMEOUT_BITS)
        fault, where = Signal(FAULT_BITS), Signal(POSITION_BITS)
        moves = Cat(slot.start for slot in slots).any() | done.any() | decoder.take
        with m.If(~running | moves):
            m.d.sync += idle_for.eq(0)
        with m.Else():
            m.d.sync += idle_for.eq(idle_for + 1)
        m.d.sync += still.eq(running & ~moves & (idle_for >= self.timeout))
        erring = self.error & done
        # What hangs is the first unit that has an instruction, or the decoder.
        among = Mux(erring.any(), erring, held)
        oldest = self._positions(m, decoder, slots, among)
        with m.If(erring.any()):
            # The bus fails units in front of noc: with one of them, it is that which is told.
            bus = Cat(erring[: self._units.index("noc")]).any()
            m.d.comb += [
                fault.eq(Mux(bus, Fault.BUS, Fault.CONNECTION)),
                where.eq(oldest),
                freezes.eq(running),
            ]
        with m.Elif(still):
            m.d.comb += [
                fault.eq(Fault.TIMEOUT),
                where.eq(Mux(held.any(), oldest, decoder.at)),
                freezes.eq(running),
            ]
        with m.Else():
            m.d.comb += [fault.eq(decoder.fault), where.eq(decoder.at)]
        return fault, where, still

    def _positions(self, m: Module, decoder: Decoder, slots, among):
        """Position of the oldest instruction of the first unit in a set, of all in the slots."""
        layout = data.StructLayout({"place": 1, "unit": range(len(slots))})
        m.submodules.positions = positions = Memory(
            shape=POSITION_BITS, depth=1 << layout.size, init=[]
        )
        write, read = positions.write_port(), positions.read_port(domain="comb")
        here, first = Signal(layout), Signal(layout)
        for number, slot in reversed(list(enumerate(slots))):
            with m.If(decoder.unit[number]):
                m.d.comb += [here.unit.eq(number), here.place.eq(slot.place)]
            with m.If(among[number]):
                m.d.comb += [first.unit.eq(number), first.place.eq(slot.oldest)]
        m.d.comb += [
            write.en.eq(decoder.commit),
            write.addr.eq(here),
            write.data.eq(decoder.at),
            read.addr.eq(first),
        ]
        return read.data
