"""What an instruction is made of: operands, and the steps that turn them into a command.

The table in :mod:`backspike.hw.isa.table` is written in these words, and in the operands of
:mod:`backspike.hw.isa.operands`. The decoder in hardware, the assembler, the disassembler, the
instruction-level model and the reference page all read the same table.

A step is a multiply-accumulate, a bound, or the check of an access. The decoder runs one in a
cycle, on a register file of whole numbers; :meth:`Instruction.evaluate` is the same in Python.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ONE",
    "SELECTORS",
    "Access",
    "Aligned",
    "AtMost",
    "CeilDivide",
    "Clamp",
    "Fault",
    "FullCount",
    "Instruction",
    "MultiplyAdd",
    "Operand",
    "ProgramError",
    "Step",
    "number",
]

ONE = "one"
"""The constant 1, wherever the name of a value goes."""
SELECTORS = 8
"""Operands whose address registers one word names."""


class Fault(enum.IntEnum):
    """Why a sub-core has stopped; the code that its status register holds."""

    NONE = 0
    OPCODE = 1
    LENGTH = 2
    OPERAND = 3
    LIMIT = 4
    TERMS = 5
    ADDRESS = 6
    ALIGNMENT = 7
    LOOP = 8
    FETCH = 9
    BUS = 10
    TIMEOUT = 11
    CONNECTION = 12

    @property
    def text(self) -> str:
        """What is wrong, for people."""
        return _FAULT_TEXTS[self]


_FAULT_TEXTS = {
    Fault.NONE: "nothing is wrong",
    Fault.OPCODE: "no instruction has this opcode, or it is not built",
    Fault.LENGTH: "the header's length is not that of the instruction, or its upper half not 0",
    Fault.OPERAND: "an operand is out of its range",
    Fault.LIMIT: "sizes do not fit the engine, or contradict each other",
    Fault.TERMS: "a sum could have more terms than its psum is made for",
    Fault.ADDRESS: "a map leaves its SRAM",
    Fault.ALIGNMENT: "a DRAM address is not a multiple of the bus width",
    Fault.LOOP: "loops are nested too deep, cross each other, or are open at the end",
    Fault.FETCH: "the bus answered an instruction fetch with an error",
    Fault.BUS: "the bus answered a DMA transfer with an error",
    Fault.TIMEOUT: "nothing has started or ended for as long as the time-out allows",
    Fault.CONNECTION: "the tag has no connection, or one out of the mesh or to another sub-core",
}


class ProgramError(Exception):
    """An instruction that the hardware refuses; ``fault`` says why, the text says what."""

    def __init__(self, fault: Fault, text: str):
        super().__init__(text)
        self.fault = fault


@dataclass(frozen=True)
class Operand:
    """A whole number that a program gives, from ``low`` to ``high``."""

    name: str
    low: int
    high: int
    what: str


def number(value: str | int, values: Mapping[str, int]) -> int:
    """A number, given as such or by name."""
    return value if isinstance(value, int) else values[value]


@dataclass(frozen=True)
class MultiplyAdd:
    """``name = plus + (a - less) * b``, or ``plus - ...`` with ``minus``."""

    name: str
    a: str
    b: str | int
    plus: str | int = 0
    minus: bool = False
    less: int = 0

    def run(self, values: dict[str, int]) -> None:
        product = (values[self.a] - self.less) * number(self.b, values)
        start = number(self.plus, values)
        values[self.name] = start - product if self.minus else start + product


@dataclass(frozen=True)
class Clamp:
    """``name = max(1, min(value, high))``."""

    name: str
    value: str
    high: str

    def run(self, values: dict[str, int]) -> None:
        values[self.name] = max(1, min(values[self.value], values[self.high]))


@dataclass(frozen=True)
class CeilDivide:
    """``name = value / by``, rounded up; ``by`` is a power of two."""

    name: str
    value: str
    by: int

    def run(self, values: dict[str, int]) -> None:
        values[self.name] = -(-values[self.value] // self.by)


@dataclass(frozen=True)
class FullCount:
    """``name = value``, or one less if ``part`` is smaller than ``full``: what is there in full."""

    name: str
    value: str
    part: str
    full: str

    def run(self, values: dict[str, int]) -> None:
        values[self.name] = values[self.value] - (values[self.part] < values[self.full])


@dataclass(frozen=True)
class AtMost:
    """``(value - less) * times`` must be at most ``limit``.

    With ``power`` the factor is not ``times`` but 2 to its power.
    """

    value: str
    limit: str | int
    fault: Fault = Fault.LIMIT
    times: str | int = ONE
    less: int = 0
    power: bool = False

    def run(self, values: dict[str, int]) -> None:
        times = number(self.times, values)
        product = (values[self.value] - self.less) * (1 << times if self.power else times)
        limit = number(self.limit, values)
        if product > limit:
            what = f"({self.value} - {self.less})" if self.less else self.value
            if self.times != ONE:
                what += f" * {'2**' if self.power else ''}{self.times}"
            named = "" if isinstance(self.limit, int) else f"{self.limit} = "
            raise ProgramError(self.fault, f"{what} must be at most {named}{limit}, not {product}")


@dataclass(frozen=True)
class Aligned:
    """``value`` must be a multiple of ``to``, a power of two; if ``when`` is above 1."""

    value: str
    to: int
    when: str | None = None

    def run(self, values: dict[str, int]) -> None:
        if values[self.value] % self.to and (self.when is None or values[self.when] > 1):
            raise ProgramError(
                Fault.ALIGNMENT,
                f"{self.value} must be a multiple of {self.to}, not {values[self.value]}",
            )


@dataclass(frozen=True)
class Access:
    """All of ``base + sum(index * stride)``, index from 0 to count - 1, must lie in an SRAM.

    ``extents`` are pairs (count, stride); an access ``words`` wide begins at each place. There is
    none where a count is 0, nor unless one of the pairs (value, constant) in ``when`` are equal.
    """

    sram: str
    size: int
    """Words of the SRAM."""
    base: str
    extents: tuple[tuple[str, str], ...]
    words: int = 1
    when: tuple[tuple[str, int], ...] = ()
    writes: bool = False

    def reach(self, values: Mapping[str, int]) -> tuple[int, int] | None:
        """The first and the last word, or None if there is no access."""
        if self.when and not any(values[name] == constant for name, constant in self.when):
            return None
        if any(values[count] == 0 for count, _ in self.extents):
            return None
        spans = [(values[count] - 1) * values[stride] for count, stride in self.extents]
        first = values[self.base] + sum(span for span in spans if span < 0)
        last = values[self.base] + sum(span for span in spans if span > 0) + self.words - 1
        return first, last

    def run(self, values: dict[str, int]) -> None:
        found = self.reach(values)
        if found is None:
            return
        first, last = found
        if first < 0 or last >= self.size:
            raise ProgramError(
                Fault.ADDRESS,
                f"{self.base} must keep its map within words 0 to {self.size - 1} of {self.sram}, "
                f"not reach from {first} to {last}",
            )


Step = MultiplyAdd | Clamp | CeilDivide | FullCount | AtMost | Aligned | Access


@dataclass(frozen=True)
class Instruction:
    """One row of the table.

    ``registers`` tells what each register of the unit's command gets: an operand or value by name.
    Registers that it leaves out get 0.
    """

    mnemonic: str
    opcode: int
    unit: str
    """The engine, or the part of the controller, that it is for."""
    what: str
    operands: tuple[Operand, ...]
    steps: tuple[Step, ...] = ()
    registers: Mapping[str, str] | None = None
    built: bool = True
    """Whether the hardware has it; it is an illegal opcode otherwise."""

    @property
    def words(self) -> int:
        """The header, the operands, and before each eight of them a word of selectors."""
        return 1 + len(self.operands) + -(-len(self.operands) // SELECTORS)

    def check_operands(self, values: Mapping[str, int]) -> None:
        """Raises ProgramError if an operand is out of its range; the first in order is told."""
        for operand in self.operands:
            if not operand.low <= values[operand.name] <= operand.high:
                raise ProgramError(
                    Fault.OPERAND,
                    f"{operand.name} must be from {operand.low} to {operand.high}, "
                    f"not {values[operand.name]}",
                )

    def values(self, operands: Mapping[str, int]) -> dict[str, int]:
        """Operands, and all that the steps make of them.

        Raises
        ------
        ProgramError
            If the hardware refuses them.
        """
        self.check_operands(operands)
        values = {ONE: 1, **operands}
        for step in self.steps:
            step.run(values)
        return values

    def evaluate(self, operands: Mapping[str, int]) -> dict[str, int]:
        """The registers of the command that ``operands`` make; raises as :meth:`values`."""
        values = self.values(operands)
        return {name: values[value] for name, value in (self.registers or {}).items()}

    def reaches(self, operands: Mapping[str, int]) -> list[tuple[Access, tuple[int, int]]]:
        """Each access that takes place, with its first and last word; raises as :meth:`values`.

        Words in between may be left out.
        """
        values = self.values(operands)
        return [
            (step, reach)
            for step in self.steps
            if isinstance(step, Access) and (reach := step.reach(values)) is not None
        ]

    def accesses(self, operands: Mapping[str, int]) -> list[tuple[str, int, int, bool]]:
        """What it touches: SRAM, first and last word, and whether it writes there."""
        return [
            (step.sram, first, last, step.writes) for step, (first, last) in self.reaches(operands)
        ]

    def fill(self, given: Mapping[str, Any]) -> dict[str, int]:
        """All operands: those given, and for the others 0, or the least that is allowed.

        Raises
        ------
        ValueError
            If one is given that the instruction does not have.
        """
        names = [operand.name for operand in self.operands]
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise ValueError(
                f"operands of {self.mnemonic} must be of {', '.join(names)}, not {unknown[0]}"
            )
        return {
            operand.name: int(given.get(operand.name, max(0, operand.low)))
            for operand in self.operands
        }
