"""The arithmetic of the decoder: a file of numbers, and one microcode word a cycle."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.control.microcode import (
    FILE_BITS,
    FILE_WORDS,
    VALUE_BITS,
    Action,
    Microcode,
    MicroOp,
)
from backspike.hw.isa.instruction import Fault
from backspike.hw.isa.table import IsaShape, instruction_set

__all__ = ["FAULT_BITS", "WORD", "Alu", "program_bits"]

FAULT_BITS = bits_for(max(Fault))
NEAR_BITS = VALUE_BITS + 2
"""Bits of a product that can be added to any number of the file and still say nothing: what is
larger decides by its sign alone whether a check fails, and reaches out of every SRAM."""
REACH_BITS = NEAR_BITS + 3
"""Bits of how far an access reaches: up to eight such products."""

POWER_BITS = 4
"""Bits of the exponent of a power of two."""

WORD = data.StructLayout(
    {
        "action": bits_for(max(action.value for action in Action)),
        "x": FILE_BITS,
        "y": FILE_BITS,
        "y_constant": 1,
        "z": FILE_BITS,
        "z_constant": 1,
        "less": 2,
        "minus": 1,
        "power": 1,
        "conditional": 1,
        "to": FILE_BITS,
        "register": FILE_BITS,
        "fault": FAULT_BITS,
        "last": 1,
    }
)
"""A :class:`backspike.hw.control.microcode.MicroOp` in bits."""


def word_of(op: MicroOp) -> dict[str, int]:
    """The fields of :data:`WORD`."""
    fields = {name: getattr(op, name) for name in WORD.members if hasattr(op, name)}
    for name in "yz":
        source = fields[name]
        fields |= {name: source.number, f"{name}_constant": source.constant}
    return {
        name: value.value if isinstance(value, Action) else int(value)
        for name, value in fields.items()
    }


def program_bits(code: Microcode) -> int:
    """Bits of the address of a microcode word."""
    return bits_for(sum(len(program) for program in code.programs.values()) - 1)


class Alu(EmitOnce):
    """Runs the steps of an instruction on its operands.

    A word takes three cycles and one begins in each: it is read, its numbers are read, and it
    stores or checks. What is stored can be read by the word after the next.

    Parameters
    ----------
    shape : IsaShape, subcore : str
        As of :func:`backspike.hw.isa.table.instruction_set`.

    Members
    -------
    clear : In(1)
        Forget the instruction that there was, and its fault.
    write : In(1), number : In(FILE_BITS), value : In(signed(VALUE_BITS))
        Store an operand; not while running.
    run : In(1), address : In(program_bits)
        Run the program that begins there.
    done : Out(1)
        High for one cycle, when its last word has been done.
    fault : Out(FAULT_BITS)
        The first fault since ``clear``.
    kept : Out(1), register : Out(FILE_BITS), result : Out(VALUE_BITS)
        A result for a register of the command.
    """

    _shape = Parameter[IsaShape]()

    def __init__(self, *, shape: IsaShape, subcore: str):
        self._code = Microcode(instruction_set(shape, subcore))
        super().__init__(
            {
                "clear": In(1),
                "write": In(1),
                "number": In(FILE_BITS),
                "value": In(signed(VALUE_BITS)),
                "run": In(1),
                "address": In(program_bits(self._code)),
                "done": Out(1),
                "fault": Out(FAULT_BITS),
                "kept": Out(1),
                "register": Out(FILE_BITS),
                "result": Out(VALUE_BITS),
            },
            shape=shape,
            subcore=subcore,
        )

    def elaborate(self, platform):
        m = Module()
        words = [word for program in self._code.programs.values() for word in program]
        m.submodules.code = code = Memory(
            shape=WORD,
            depth=max(2, len(words)),
            init=[word_of(word) for word in words],
            attrs={"rom_style": "block"},
        )
        m.submodules.numbers = numbers = Memory(
            shape=signed(VALUE_BITS), depth=FILE_WORDS, init=[1]
        )
        store = numbers.write_port()

        # A word is read ...
        fetch = code.read_port()
        address = Signal(program_bits(self._code))
        running, here = Signal(), Signal()
        word = fetch.data
        m.d.comb += [fetch.en.eq(1), fetch.addr.eq(Mux(self.run, self.address, address))]
        m.d.sync += address.eq(fetch.addr + 1)
        ends = here & word.last
        with m.If(self.run):
            m.d.sync += running.eq(1)
        with m.Elif(self.clear | ends):
            m.d.sync += running.eq(0)
        m.d.sync += here.eq((self.run | (running & ~ends)) & ~self.clear)

        # ... and its numbers.
        x, y = Signal(signed(VALUE_BITS + 1)), Signal(signed(VALUE_BITS))
        # One bit more: a limit among the constants may be one above the largest number.
        z, operation = Signal(signed(VALUE_BITS + 1)), Signal(WORD)
        valid = Signal()
        ports = {name: numbers.read_port(domain="comb") for name in "xyz"}
        for name, port in ports.items():
            m.d.comb += port.addr.eq(word[name])
        powers = Signal(signed(VALUE_BITS))
        m.d.comb += powers.eq(1 << ports["y"].data[:POWER_BITS])
        m.d.sync += [
            valid.eq(here & ~self.clear),
            operation.eq(word),
            x.eq(ports["x"].data - word.less),
            y.eq(
                Mux(
                    word.y_constant,
                    self._constant(m, word.y, "y"),
                    Mux(word.power, powers, ports["y"].data),
                )
            ),
            z.eq(Mux(word.z_constant, self._constant(m, word.z, "z"), ports["z"].data)),
        ]
        stores = self._execute(m, operation, valid, x, y, z)
        m.d.comb += [
            store.en.eq(self.write | stores),
            store.addr.eq(Mux(self.write, self.number, operation.to)),
            store.data.eq(Mux(self.write, self.value, self.result)),
        ]
        return m

    def _execute(self, m: Module, operation, valid, x, y, z):
        """Stores or checks; returns whether it stores."""
        near, far, down, negative, total = self._total(m, operation.minus, x, y, z)
        # The access that is being gone through: how far it reaches down and up from its base.
        low = Signal(signed(REACH_BITS), reset_less=True)
        high = Signal(signed(REACH_BITS), reset_less=True)
        beyond, none, wanted = (Signal(reset_less=True) for _ in range(3))
        bottom, top = Signal(signed(REACH_BITS + 1)), Signal(signed(REACH_BITS + 1))
        m.d.comb += [bottom.eq(x + low), top.eq(x + high)]

        stores, faulty, reached = Signal(), Signal(), Signal()
        with m.Switch(operation.action):
            with m.Case(Action.KEEP.value):
                m.d.comb += [stores.eq(valid), self.result.eq(total)]
            with m.Case(Action.CLAMP.value):
                m.d.comb += [
                    stores.eq(valid),
                    self.result.eq(Mux(negative, z, Mux(x < 1, 1, x))),
                ]
            with m.Case(Action.CEIL.value):
                pixels = self._shape.pixels
                m.d.comb += [
                    stores.eq(valid),
                    self.result.eq((x + pixels - 1) >> exact_log2(pixels)),
                ]
            with m.Case(Action.WHOLE.value):
                m.d.comb += [stores.eq(valid), self.result.eq(z - (x < y))]
            with m.Case(Action.CHECK.value):
                m.d.comb += faulty.eq(negative)
            with m.Case(Action.ALIGN.value):
                rest = x[: exact_log2(self._shape.bus_bytes)]
                m.d.comb += faulty.eq((rest != 0) & (y > 1))
            with m.Case(Action.WHEN.value):
                with m.If(valid):
                    m.d.sync += wanted.eq(wanted | (x == y))
            with m.Case(Action.SPAN.value):
                with m.If(valid):
                    m.d.sync += [none.eq(none | (x < 0)), beyond.eq(beyond | far)]
                    with m.If(down):
                        m.d.sync += low.eq(low + near)
                    with m.Else():
                        m.d.sync += high.eq(high + near)
            with m.Case(Action.REACH.value):
                outside = beyond | (bottom < 0) | (z < top)
                m.d.comb += [
                    faulty.eq(outside & ~none & (wanted | ~operation.conditional)),
                    reached.eq(valid),
                ]
        # The one reset that these registers have, so that it takes no LUTs.
        with m.If(self.clear | reached):
            m.d.sync += [part.eq(0) for part in (low, high, beyond, none, wanted)]
        m.d.comb += [
            self.kept.eq(stores),
            self.register.eq(operation.register),
            self.done.eq(valid & operation.last),
        ]
        with m.If(self.clear):
            m.d.sync += self.fault.eq(Fault.NONE)
        with m.Elif(valid & faulty & (self.fault == Fault.NONE)):
            m.d.sync += self.fault.eq(operation.fault)
        return stores

    def _total(self, m: Module, minus, x, y, z):
        """``z +- x * y``, on one multiplier and one adder.

        Returns the low NEAR_BITS bits of the product, whether it needs more than these, its sign,
        whether a difference is negative, and the sum.
        """
        product = x * y
        near, addend = Signal(signed(NEAR_BITS)), Signal(signed(NEAR_BITS))
        total = Signal(signed(NEAR_BITS + 1))
        far, down, negative = Signal(), Signal(), Signal()
        high_part = product[NEAR_BITS - 1 :]
        m.d.comb += [
            near.eq(product),
            far.eq(high_part.any() & ~high_part.all()),
            down.eq(product[-1]),
            # One adder does both: below the lowest bits, minus + minus carries the 1 of ~near + 1.
            addend.eq(near ^ minus.replicate(NEAR_BITS)),
            total.eq((Cat(minus, z).as_signed() + Cat(minus, addend).as_signed()) >> 1),
            # Of a difference: nothing else is checked.
            negative.eq(Mux(far, ~down, total < 0)),
        ]
        return near, far, down, negative, total

    def _constant(self, m: Module, number, name: str):
        constant = Signal(signed(VALUE_BITS + 1), name=f"constant_{name}")
        with m.Switch(number):
            for index, value in enumerate(self._code.constants):
                with m.Case(index):
                    m.d.comb += constant.eq(value)
        return constant
