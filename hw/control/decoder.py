"""From program words to the registers of the units: range of each operand, then the steps."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.control.alu import FAULT_BITS, Alu, program_bits
from backspike.hw.control.fetch import POSITION_BITS
from backspike.hw.control.loops import ProgramLoops
from backspike.hw.control.microcode import FILE_BITS, NO_REGISTER, VALUE_BITS, Microcode
from backspike.hw.isa.control import REGISTER_BITS, STEP_OPERANDS
from backspike.hw.isa.instruction import SELECTORS, Fault
from backspike.hw.isa.table import BOXES, UNITS, WORD_MAX, IsaShape, instruction_set
from backspike.hw.limits import ADDRESS_BITS, WORD_BITS

__all__ = ["Decoder"]


class State(enum.Enum):
    """What the decoder is at."""

    IDLE = 0
    BETWEEN = 1  # in front of an instruction
    HEADER = 2
    SELECT = 3  # takes the address registers of the next eight operands
    OPERAND = 4
    SETTLE = 5
    CHECKED = 6  # all operands are there
    STEPS = 7
    DISPATCH = 8
    END = 9


class Decoder(EmitOnce):
    """Takes the words of a program, and hands complete instructions to the slots of the units.

    An instruction takes a cycle for each of its words, one for each word of its microcode, and
    about ten. Operands and results go to the slot of the unit as they come; nothing starts before
    ``commit``, which comes after the last check.

    Parameters
    ----------
    shape : IsaShape, subcore : str
        As of :func:`backspike.hw.isa.table.instruction_set`.

    Members
    -------
    start : In(1)
        Begin a program, at position 0; ``halt`` : In(1) ends it.
    valid : In(1), word : In(32), error : In(1), take : Out(1)
        Words of the program, and whether the bus failed to read one.
    position : In(20), jump : Out(1), target : Out(20)
        As of :class:`backspike.hw.control.fetch.ProgramFetch`.
    free, clear_of_waits : In(units)
        Slots that have room; and those that can be told what the next instruction waits for.
    idle : In(1)
        No slot holds an instruction.
    unit : Out(units)
        The one that an instruction is for, one-hot; 0 for the controller itself.
    clear, write, commit : Out(1), index : Out(6), data : Out(32), at : Out(20)
        To the slot of ``unit``.
    barrier : Out(units), after : Out(units), boxes : Out(8)
        Units that wait for others at a barrier.
    running : Out(1)
        Between ``start``, and the end of the program or a fault.
    finished : Out(1)
        High for one cycle at the end of the program.
    fault : Out(4)
        Not NONE for one cycle, if it stops at the instruction at ``at``.
    """

    _shape = Parameter[IsaShape]()
    _subcore = Parameter[str]()

    def __init__(self, *, shape: IsaShape, subcore: str):
        units = len(UNITS[subcore])
        super().__init__(
            {
                "start": In(1),
                "halt": In(1),
                "valid": In(1),
                "word": In(WORD_BITS),
                "error": In(1),
                "take": Out(1),
                "position": In(POSITION_BITS),
                "jump": Out(1),
                "target": Out(POSITION_BITS),
                "free": In(units),
                "clear_of_waits": In(units),
                "idle": In(1),
                "unit": Out(units),
                "clear": Out(1),
                "write": Out(1),
                "index": Out(FILE_BITS),
                "data": Out(WORD_BITS),
                "commit": Out(1),
                "at": Out(POSITION_BITS),
                "barrier": Out(units),
                "after": Out(units),
                "boxes": Out(BOXES),
                "running": Out(1),
                "finished": Out(1),
                "fault": Out(FAULT_BITS),
            },
            shape=shape,
            subcore=subcore,
        )

    def elaborate(self, platform):
        m = Module()
        code = Microcode(instruction_set(self._shape, self._subcore))
        m.submodules.alu = alu = Alu(shape=self._shape, subcore=self._subcore)
        m.submodules.loops = loops = ProgramLoops()
        header, spec = self._header(m, code), self._spec(m, code)
        now = Signal(header.shape())
        state = Signal(State)
        count = Signal(FILE_BITS)  # operands taken
        selectors = Signal(WORD_BITS)
        where = Signal(POSITION_BITS)
        ends = Signal()
        m.d.comb += [
            self.unit.eq(now.unit),
            self.running.eq(state != State.IDLE),
            self.at.eq(Mux(state == State.BETWEEN, self.position, where)),
            self.jump.eq(loops.jump),
            self.target.eq(loops.target),
            loops.clear.eq(self.start),
            loops.position.eq(self.position),
            loops.select.eq(selectors[:REGISTER_BITS]),
            alu.address.eq(now.program),
            # A program may have been stopped while its last instruction was being checked.
            alu.clear.eq(
                (state == State.IDLE) | (state == State.BETWEEN) | (state == State.HEADER)
            ),
        ]

        # An operand: the sum with its address register, and in the next cycle all that it is for.
        operand, stored = Signal(), Signal()
        value = Signal(WORD_BITS)
        number, out_of_range = Signal(FILE_BITS), Signal()
        m.d.sync += stored.eq(operand)
        m.d.comb += spec.addr.eq(now.specs + count)
        with m.If(operand):
            m.d.sync += [value.eq(self.word + loops.value), number.eq(count + 1)]
        self._store(m, alu, spec.data.register, stored, number, value)
        self._check_range(m, code, spec.data.kind, stored, value, alu.clear, out_of_range)
        control = self._control(m, loops, stored, number, value)

        fault = Signal(FAULT_BITS)
        with m.Switch(state):
            with m.Case(State.IDLE):
                with m.If(self.start):
                    m.d.sync += state.eq(State.BETWEEN)
            with m.Case(State.BETWEEN):
                m.d.sync += [where.eq(self.position), count.eq(0)]
                self._begin(m, state, header, now, loops, fault)
            with m.Case(State.HEADER):
                m.d.comb += fault.eq(now.fault)
                with m.If(~now.unit.any() | (now.unit & self.free).any()):
                    m.d.comb += self.clear.eq(1)
                    m.d.sync += state.eq(State.SELECT)
            with m.Case(State.SELECT):
                with m.If(self.valid):
                    m.d.comb += [self.take.eq(1), fault.eq(Mux(self.error, Fault.FETCH, 0))]
                    m.d.sync += [selectors.eq(self.word), state.eq(State.OPERAND)]
            with m.Case(State.OPERAND):
                with m.If(self.valid):
                    m.d.comb += [
                        self.take.eq(1),
                        operand.eq(1),
                        fault.eq(Mux(self.error, Fault.FETCH, 0)),
                    ]
                    m.d.sync += [count.eq(count + 1), selectors.eq(selectors >> REGISTER_BITS)]
                    with m.If(count == now.operands - 1):
                        m.d.sync += state.eq(State.SETTLE)
                    with m.Elif(count[: exact_log2(SELECTORS)].all()):
                        m.d.sync += state.eq(State.SELECT)
            with m.Case(State.SETTLE):
                # The last operand is stored in this cycle.
                m.d.sync += state.eq(State.CHECKED)
            with m.Case(State.CHECKED):
                m.d.comb += [
                    fault.eq(Mux(out_of_range, Fault.OPERAND, 0)),
                    alu.run.eq(1),
                ]
                m.d.sync += state.eq(State.STEPS)
            with m.Case(State.STEPS):
                with m.If(alu.done):
                    m.d.sync += state.eq(State.DISPATCH)
            with m.Case(State.DISPATCH):
                self._dispatch(m, state, now, control, loops, alu, fault)
            with m.Case(State.END):
                m.d.comb += ends.eq(self.idle)
        m.d.comb += [self.finished.eq(ends), self.fault.eq(fault)]
        with m.If(ends | self.halt | (fault != Fault.NONE)):
            m.d.sync += state.eq(State.IDLE)
        return m

    def _store(self, m: Module, alu: Alu, register, stored, number, value) -> None:
        """Operands go to the arithmetic, and both operands and results to the unit's slot."""
        given = Signal(FILE_BITS)
        m.d.comb += [
            alu.write.eq(stored),
            alu.number.eq(number),
            alu.value.eq(value),
            given.eq(Mux(stored, register, alu.register)),
            self.index.eq(given),
            self.write.eq((stored | alu.kept) & (given != NO_REGISTER)),
            self.data.eq(Mux(stored, value, alu.result)),
        ]

    def _begin(self, m: Module, state, header, now, loops, fault) -> None:
        """Steps a loop that ends here, or takes the first word of an instruction."""
        with m.If(loops.busy):
            pass
        with m.Elif(loops.beyond):
            m.d.comb += fault.eq(Fault.LOOP)
        with m.Elif(loops.at_end):
            m.d.comb += loops.again.eq(1)
        with m.Elif(self.valid):
            m.d.comb += self.take.eq(1)
            m.d.sync += [now.eq(header), state.eq(State.HEADER)]
            with m.If(self.error):
                m.d.sync += now.fault.eq(Fault.FETCH)

    def _dispatch(self, m: Module, state, now, control, loops, alu, fault) -> None:
        """Hands a checked instruction to its unit, or carries it out."""
        m.d.sync += state.eq(State.BETWEEN)
        with m.If(alu.fault != Fault.NONE):
            m.d.comb += fault.eq(alu.fault)
        with m.Elif(now.barrier & control.sub_type[0]):
            m.d.comb += fault.eq(Mux(loops.inside, Fault.LOOP, 0))
            m.d.sync += state.eq(State.END)
        with m.Elif(now.barrier & (control.units & ~self.clear_of_waits).any()):
            # What a barrier says is kept with the place for the instruction behind it.
            m.d.sync += state.eq(State.DISPATCH)
        with m.Elif(now.barrier):
            m.d.comb += [
                self.barrier.eq(control.units),
                self.after.eq(control.after),
                self.boxes.eq(control.boxes),
            ]
        with m.Elif(now.loop):
            m.d.comb += [
                fault.eq(Mux(loops.full, Fault.LOOP, 0)),
                loops.enter.eq(~loops.full),
            ]
        with m.Else():
            m.d.comb += self.commit.eq(1)

    def _header(self, m: Module, code: Microcode):
        """What is known of an instruction by its first word."""
        units = UNITS[self._subcore]
        layout = data.StructLayout(
            {
                "unit": len(units),
                "operands": FILE_BITS,
                "specs": self._spec_bits(code),
                "program": program_bits(code),
                "barrier": 1,
                "loop": 1,
                "fault": FAULT_BITS,
            }
        )
        header = Signal(layout)
        m.d.comb += header.fault.eq(Fault.OPCODE)
        specs = program = 0
        with m.Switch(self.word[:8]):
            for mnemonic, steps in code.programs.items():
                instruction = code.instructions[mnemonic]
                with m.Case(instruction.opcode):
                    wrong = self.word[8:] != instruction.words
                    m.d.comb += [
                        header.operands.eq(len(instruction.operands)),
                        header.specs.eq(specs),
                        header.program.eq(program),
                        header.barrier.eq(mnemonic == "BARRIER"),
                        header.loop.eq(mnemonic == "LOOP"),
                        header.fault.eq(Mux(wrong, Fault.LENGTH, Fault.NONE)),
                    ]
                    if instruction.unit in units:
                        m.d.comb += header.unit.eq(1 << units.index(instruction.unit))
                specs += len(instruction.operands)
                program += len(steps)
        return header

    def _spec_bits(self, code: Microcode) -> int:
        return bits_for(sum(len(specs) for specs in code.operands.values()) - 1)

    def _kinds(self, code: Microcode) -> list[tuple[int, int]]:
        """The different ranges that operands have, as their least value and the rest."""
        specs = [spec for specs in code.operands.values() for spec in specs]
        return list(dict.fromkeys((spec.low, spec.span) for spec in specs))

    def _spec(self, m: Module, code: Microcode):
        """Range and register of each operand, an instruction's one after the other."""
        kinds = self._kinds(code)
        layout = data.StructLayout({"register": FILE_BITS, "kind": bits_for(len(kinds) - 1)})
        contents = [
            {"register": spec.register, "kind": kinds.index((spec.low, spec.span))}
            for specs in code.operands.values()
            for spec in specs
        ]
        m.submodules.specs = specs = Memory(shape=layout, depth=len(contents), init=contents)
        port = specs.read_port()
        m.d.comb += port.en.eq(1)
        return port

    def _check_range(
        self, m: Module, code: Microcode, kind, stored, value, clear, out_of_range
    ) -> None:
        """Keeps ``out_of_range`` until ``clear`` if an operand is out of the range of its kind."""
        low, span = Signal(signed(VALUE_BITS)), Signal(WORD_BITS)
        with m.Switch(kind):
            for number, (least, rest) in enumerate(self._kinds(code)):
                with m.Case(number):
                    # -2**31 and the rest of all words is no restriction: from 0 on it is none too.
                    m.d.comb += [low.eq(0 if rest == WORD_MAX else least), span.eq(rest)]
        with m.If(clear):
            m.d.sync += out_of_range.eq(0)
        with m.Elif(stored & (span < (value - low)[:WORD_BITS])):
            m.d.sync += out_of_range.eq(1)

    def _control(self, m: Module, loops: ProgramLoops, stored, number, value):
        """Operands of BARRIER and LOOP, which the decoder itself carries out."""
        instructions = instruction_set(self._shape, self._subcore)
        barrier, loop = instructions["BARRIER"].operands, instructions["LOOP"].operands
        control = Signal(
            data.StructLayout({operand.name: bits_for(operand.high) for operand in barrier})
        )
        length, register = Signal(ADDRESS_BITS), Signal(REGISTER_BITS)
        for place, operand in enumerate(barrier, 1):
            with m.If(stored & (number == place)):
                m.d.sync += control[operand.name].eq(value)
        places = {operand.name: place for place, operand in enumerate(loop, 1)}
        with m.If(stored):
            with m.Switch(number):
                with m.Case(places["count"]):
                    m.d.sync += loops.count.eq(value)
                with m.Case(places["length"]):
                    m.d.sync += length.eq(value)
                for index, (register_name, step_name) in enumerate(STEP_OPERANDS):
                    with m.Case(places[register_name]):
                        m.d.sync += register.eq(value)
                    with m.Case(places[step_name]):
                        m.d.comb += [loops.note.eq(self.unit == 0), loops.index.eq(index)]
        m.d.comb += [
            loops.register.eq(register),
            loops.step.eq(value),
            loops.begin.eq(self.position),
            loops.end.eq(self.position + length),
        ]
        return control
