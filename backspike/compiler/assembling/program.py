"""Builds the program of a sub-core, instruction by instruction, each with its reason."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from backspike.hw.isa.control import STEP_OPERANDS
from backspike.hw.isa.encoding import encode_words
from backspike.hw.isa.instruction import SELECTORS, Fault, Instruction, ProgramError
from backspike.hw.isa.table import (
    LOOP_LEVELS,
    LOOP_STEPS,
    REGISTERS,
    UNITS,
    IsaShape,
    Wait,
    instruction_set,
)

__all__ = ["At", "Program"]


@dataclass(frozen=True)
class At:
    """An operand that an address register is added to."""

    value: int
    register: int = 0
    reach: int = 0
    """What the register holds when all loops run for the last time."""

    def __add__(self, value: int) -> At:
        return dataclasses.replace(self, value=self.value + value)


class Program:
    """A program under construction.

    Operands are whole numbers, or :class:`At` what a loop steps. An instruction that the hardware
    would refuse, in the first or the last round of its loops, is refused here already.

    Parameters
    ----------
    shape : IsaShape
        Of the core.
    subcore : str
        ``fp`` or ``bp``.

    Raises
    ------
    backspike.hw.isa.instruction.ProgramError
        From the methods that add instructions.
    ValueError
        From them, if they name what there is not.
    """

    def __init__(self, shape: IsaShape, subcore: str):
        self.subcore = subcore
        self.instructions = instruction_set(shape, subcore)
        self.words: list[int] = []
        self.reasons: dict[int, str] = {}
        """By the position of the instruction's first word."""
        self.phases: dict[int, str] = {}
        """What begins at a position, e.g. ``forward``."""
        self.scalars: dict[str, list[int]] = {}
        """Words, by the name of what changes from one run of the program to the next."""
        self._added: dict[int, Instruction] = {}
        self._free = list(range(REGISTERS - 1, 0, -1))
        self._depth = 0

    def add(
        self, mnemonic: str, operands: Mapping[str, int | At] | None = None, *, reason: str
    ) -> int:
        """Adds an instruction; operands left out are 0, or the least allowed.

        Returns its position.
        """
        if mnemonic not in self.instructions:
            raise ValueError(
                f"an instruction of the {self.subcore} sub-core must be one of "
                f"{', '.join(self.instructions)}, not {mnemonic}"
            )
        instruction = self.instructions[mnemonic]
        stepped = {name: each for name, each in (operands or {}).items() if isinstance(each, At)}
        plain = {
            name: each.value if isinstance(each, At) else int(each)
            for name, each in (operands or {}).items()
        }
        values = instruction.fill(plain)
        instruction.evaluate(values)
        if stepped:
            last = {name: each.value + each.reach for name, each in stepped.items()}
            instruction.evaluate({**values, **last})
        registers = {name: each.register for name, each in stepped.items()}
        return self._append(instruction, values, registers, reason)

    def word_of(self, position: int, operand: str) -> int:
        """The word that holds an operand of the instruction at ``position``."""
        index = [each.name for each in self._added[position].operands].index(operand)
        # Behind the header: words of selectors, and the operands in front.
        return position + 1 + (index // SELECTORS + 1) + index

    def phase(self, name: str) -> None:
        """What is added from here on, up to the next phase, is for ``name``."""
        self.phases[len(self.words)] = name

    def _append(
        self,
        instruction: Instruction,
        values: Mapping[str, int],
        registers: Mapping[str, int],
        reason: str,
    ) -> int:
        position = len(self.words)
        self.reasons[position] = reason
        self._added[position] = instruction
        self.words += encode_words(instruction, values, registers)
        return position

    def barrier(
        self,
        units: str | Iterable[str],
        *,
        after: str | Iterable[str] = (),
        boxes: Iterable[int] = (),
        reason: str,
    ) -> None:
        """The next instructions of ``units`` wait for what is in front, and for messages."""
        self.add(
            "BARRIER",
            {
                "units": self._mask(units),
                "after": self._mask(after),
                "boxes": sum(1 << box for box in set(boxes)),
            },
            reason=reason,
        )

    def _mask(self, units: str | Iterable[str]) -> int:
        names = {units} if isinstance(units, str) else set(units)
        known = UNITS[self.subcore]
        for name in names:
            if name not in known:
                raise ValueError(f"a unit must be one of {', '.join(known)}, not {name}")
        return sum(1 << known.index(name) for name in names)

    @contextlib.contextmanager
    def loop(self, count: int, *steps: int, reason: str) -> Iterator[tuple[At, ...]]:
        """Repeats what is added inside of the context.

        Yields, for each of ``steps``, an :class:`At` 0 that grows by so much each time.

        Raises
        ------
        ValueError
            If there are too many steps, or loops in loops.
        backspike.hw.isa.instruction.ProgramError
            If the body is empty, or too long.
        """
        if len(steps) > LOOP_STEPS:
            raise ValueError(f"a loop must have at most {LOOP_STEPS} steps, not {len(steps)}")
        if len(steps) > len(self._free):
            raise ValueError(f"loops must have at most {REGISTERS - 1} steps in all")
        if self._depth == LOOP_LEVELS:
            raise ValueError(f"loops must be at most {LOOP_LEVELS} deep")
        registers = [self._free.pop() for _ in steps]
        operands = {"count": count, "length": 1}
        for names, register, step in zip(STEP_OPERANDS, registers, steps, strict=False):
            operands |= dict(zip(names, (register, step), strict=True))
        position = self.add("LOOP", operands, reason=reason)
        self._depth += 1
        yield tuple(
            At(0, register, (count - 1) * step)
            for register, step in zip(registers, steps, strict=True)
        )
        self._depth -= 1
        self._free += reversed(registers)
        instruction = self.instructions["LOOP"]
        begin = position + instruction.words
        operands["length"] = len(self.words) - begin
        values = instruction.fill(operands)
        instruction.check_operands(values)
        self.words[position:begin] = encode_words(instruction, values)

    def end(self, reason: str = "the program ends when all is done") -> None:
        """Ends the program.

        Raises
        ------
        backspike.hw.isa.instruction.ProgramError
            Within a loop.
        """
        if self._depth:
            raise ProgramError(Fault.LOOP, "the program must not end inside of a loop")
        self.add("BARRIER", {"sub_type": Wait.END.value}, reason=reason)
