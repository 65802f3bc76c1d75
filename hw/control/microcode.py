"""From the steps of the instruction table to the words that the decoder runs, one in a cycle.

The decoder has a file of whole numbers of :data:`VALUE_BITS` bits (the constant 1, the operands,
what the steps make) and one multiplier; each word is a :class:`MicroOp` of ``z +- (x - less) * y``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from backspike.hw.isa.instruction import (
    ONE,
    Access,
    Aligned,
    AtMost,
    CeilDivide,
    Clamp,
    Fault,
    FullCount,
    Instruction,
    MultiplyAdd,
    Step,
)
from backspike.hw.isa.units import UNIT_REGISTERS

__all__ = [
    "FILE_BITS",
    "FILE_WORDS",
    "NO_REGISTER",
    "VALUE_BITS",
    "Action",
    "FileRead",
    "MicroOp",
    "Microcode",
    "OperandSpec",
]

VALUE_BITS = 19
"""Bits of a number in the file, signed: an address, a stride, and the 2**17 terms of a sum."""
FILE_BITS = 6
FILE_WORDS = 1 << FILE_BITS
NO_REGISTER = FILE_WORDS - 1
"""Stands for the number of a register where a value goes to none."""


class Action(enum.Enum):
    """What is done with ``z +- (x - less) * y``."""

    NOTHING = 0
    KEEP = 1  # store it
    CLAMP = 2  # store x, at most z, at least 1
    CEIL = 3  # store x / pixels, rounded up
    WHOLE = 4  # store z - (x < y)
    CHECK = 5  # fault if negative
    ALIGN = 6  # fault if x is no multiple of the bus width and y is above 1
    WHEN = 7  # the access is wanted if x == y, or an earlier WHEN since the last REACH said so
    SPAN = 8  # add (x - 1) * y to one end of the access; there is none if x is 0
    REACH = 9  # fault if the access reaches beyond 0 or, from x, beyond z


@dataclass(frozen=True)
class FileRead:
    """A number in the file, or that of a constant."""

    number: int = 0
    constant: bool = True


@dataclass(frozen=True, kw_only=True)
class MicroOp:
    """One word; ``x`` and ``to`` are numbers in the file."""

    action: Action = Action.NOTHING
    x: int = 0
    y: FileRead = FileRead()
    z: FileRead = FileRead()
    less: int = 0
    minus: bool = False
    power: bool = False
    conditional: bool = False
    """A REACH that depends on WHEN."""
    to: int = 0
    register: int = NO_REGISTER
    fault: Fault = Fault.NONE
    last: bool = False

    @property
    def reads(self) -> set[int]:
        """Numbers in the file that it depends on."""
        return {
            self.x,
            *(source.number for source in (self.y, self.z) if not source.constant),
        }

    @property
    def writes(self) -> int | None:
        """The number in the file that it changes."""
        kept = (Action.KEEP, Action.CLAMP, Action.CEIL, Action.WHOLE)
        return self.to if self.action in kept else None


@dataclass(frozen=True)
class OperandSpec:
    """What the decoder knows of an operand as it comes: its range, and the register it goes to."""

    low: int
    span: int
    register: int


@dataclass
class Microcode:
    """The programs of an instruction set.

    ``constants`` are shared by all; number 0 is 0.
    """

    instructions: Mapping[str, Instruction]
    constants: list[int] = field(default_factory=lambda: [0])
    operands: dict[str, list[OperandSpec]] = field(default_factory=dict)
    programs: dict[str, list[MicroOp]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, instruction in self.instructions.items():
            if instruction.built:
                self._compile(name, instruction)

    def constant(self, value: int) -> int:
        """Number of a constant."""
        if value not in self.constants:
            self.constants.append(value)
        return self.constants.index(value)

    def _compile(self, mnemonic: str, instruction: Instruction) -> None:
        numbers = {ONE: 0}
        for operand in instruction.operands:
            numbers[operand.name] = len(numbers)
        registers = list(UNIT_REGISTERS[instruction.unit].bits) if instruction.registers else []
        # Where each value goes; the first place as it comes, others by a word of their own.
        places: dict[str, list[int]] = {}
        for register, value in (instruction.registers or {}).items():
            places.setdefault(value, []).append(registers.index(register))

        def place(name: str) -> int:
            found = places.get(name, [])
            return found.pop(0) if found else NO_REGISTER

        self.operands[mnemonic] = [
            OperandSpec(operand.low, operand.high - operand.low, place(operand.name))
            for operand in instruction.operands
        ]
        ops: list[MicroOp] = []
        for step in instruction.steps:
            ops += self._step(step, numbers)
        # A name may be made in several steps: the last one is what its register gets.
        made = {op.to: index for index, op in enumerate(ops) if op.writes is not None}
        for name in list(places):
            if numbers[name] in made and places[name]:
                index = made[numbers[name]]
                ops[index] = replace(ops[index], register=place(name))
        for name, left in places.items():
            ops += [
                MicroOp(
                    action=Action.KEEP,
                    x=numbers[name],
                    y=FileRead(numbers[ONE], constant=False),
                    to=numbers[name],
                    register=register,
                )
                for register in left
            ]
        if len(numbers) > FILE_WORDS:
            raise ValueError(
                f"{mnemonic} must have at most {FILE_WORDS} values, not {len(numbers)}"
            )
        self.programs[mnemonic] = list(_spaced(ops))

    def _step(self, step: Step, numbers: dict[str, int]) -> Iterator[MicroOp]:
        def source(value: str | int) -> FileRead:
            if isinstance(value, int):
                return FileRead(self.constant(value), constant=True)
            return FileRead(numbers[value], constant=False)

        def target(name: str) -> int:
            return numbers.setdefault(name, len(numbers))

        match step:
            case MultiplyAdd():
                yield MicroOp(
                    action=Action.KEEP,
                    x=numbers[step.a],
                    y=source(step.b),
                    z=source(step.plus),
                    less=step.less,
                    minus=step.minus,
                    to=target(step.name),
                )
            case Clamp():
                yield MicroOp(
                    action=Action.CLAMP,
                    x=numbers[step.value],
                    y=source(ONE),
                    z=source(step.high),
                    minus=True,
                    to=target(step.name),
                )
            case CeilDivide():
                yield MicroOp(action=Action.CEIL, x=numbers[step.value], to=target(step.name))
            case FullCount():
                yield MicroOp(
                    action=Action.WHOLE,
                    x=numbers[step.part],
                    y=source(step.full),
                    z=source(step.value),
                    to=target(step.name),
                )
            case AtMost():
                yield MicroOp(
                    action=Action.CHECK,
                    x=numbers[step.value],
                    y=source(step.times),
                    z=source(step.limit),
                    less=step.less,
                    minus=True,
                    power=step.power,
                    fault=step.fault,
                )
            case Aligned():
                yield MicroOp(
                    action=Action.ALIGN,
                    x=numbers[step.value],
                    y=source(2 if step.when is None else step.when),
                    fault=Fault.ALIGNMENT,
                )
            case Access():
                for name, constant in step.when:
                    yield MicroOp(action=Action.WHEN, x=numbers[name], y=source(constant))
                for count, stride in step.extents:
                    yield MicroOp(action=Action.SPAN, x=numbers[count], y=source(stride), less=1)
                yield MicroOp(
                    action=Action.REACH,
                    x=numbers[step.base],
                    z=source(step.size - step.words),
                    conditional=bool(step.when),
                    fault=Fault.ADDRESS,
                )


def _spaced(ops: list[MicroOp]) -> Iterator[MicroOp]:
    """With a cycle between a word and one that reads what it has stored, and the last one marked.

    What comes last marks the end of all checks, so it is a word of its own.
    """
    written = None
    for op in ops:
        if written is not None and written in op.reads:
            yield MicroOp()
        yield op
        written = op.writes
    yield MicroOp(last=True)
