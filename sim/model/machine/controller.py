"""The controller of a sub-core: instructions one after the other, handed to units that wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backspike.hw.isa.control import STEP_OPERANDS
from backspike.hw.isa.encoding import WORD_BYTES, fetch
from backspike.hw.isa.instruction import Fault, Instruction, ProgramError
from backspike.hw.isa.table import (
    BOX_MESSAGES,
    BOXES,
    LOOP_LEVELS,
    OUTSTANDING,
    REGISTERS,
    UNITS,
    WORD_MAX,
    Wait,
)
from backspike.hw.isa.units import command_of
from backspike.sim.model.number import Status

__all__ = ["ControllerModel", "Outcome", "QueuedInstruction"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What has become of the program of a sub-core."""

    fault: Fault
    position: int
    """Of the instruction that stopped it, in words from the beginning of the program."""
    overflow: bool
    invalid: bool
    tag: int | None = None
    """Of the connection that a time-out waited for."""
    boxes: int = 0
    """The message boxes that a time-out waited for, a bit each."""


@dataclass(eq=False)
class QueuedInstruction:
    """An instruction that is decoded and not done."""

    instruction: Instruction
    position: int
    operands: Mapping[str, int]
    """With the address registers added."""
    command: dict
    after: list[QueuedInstruction]
    boxes: set[int]
    started: bool = False
    done: bool = False


@dataclass
class _Loop:
    left: int
    begin: int
    end: int
    steps: list[tuple[int, int]]
    before: list[int]


@dataclass(eq=False)
class ControllerModel:
    """State of a sub-core that runs the program at ``program`` in ``dram``."""

    name: str
    program: int
    dram: NDArray[np.uint8]
    instructions: Mapping[str, Instruction]
    position: int = 0
    registers: list[int] = field(default_factory=lambda: [0] * REGISTERS)
    loops: list[_Loop] = field(default_factory=list)
    queues: dict[str, list[QueuedInstruction]] = field(default_factory=dict)
    after: dict[str, list[QueuedInstruction]] = field(default_factory=dict)
    waited: dict[str, set[int]] = field(default_factory=dict)
    boxes: list[int] = field(default_factory=lambda: [0] * BOXES)
    status: Status = field(default_factory=Status)
    received: bool = False
    """Whether another core has told of a status."""
    inhibit: bool = False
    ending: bool = False
    running: bool = True
    """Whether there is anything left to do."""
    fault: tuple[Fault, int] | None = None
    frozen: bool = False
    waits: tuple[int | None, int] = (None, 0)
    """Tag and boxes that it waited for when it timed out."""

    def __post_init__(self) -> None:
        for unit in UNITS[self.name]:
            self.queues[unit], self.after[unit], self.waited[unit] = [], [], set()

    def stop(self, fault: Fault, position: int) -> None:
        """Of several faults, the one in front is told: the decoder runs ahead of the units."""
        freezes = fault in (Fault.BUS, Fault.TIMEOUT, Fault.CONNECTION)
        if not self.fault or (freezes and not self.frozen):
            self.fault = (fault, position)
        self.frozen |= freezes

    def time_out(self, tag_of: Mapping[str, int]) -> None:
        """Nothing will ever come: the first unit that waits is told, and what all wait for.

        ``tag_of`` is the tag of the entry that a unit has started and that waits for another core.
        """
        waiting = next(self.pending(), None)
        self.stop(Fault.TIMEOUT, waiting.position if waiting else self.position)
        boxes = 0
        for queue in self.queues.values():
            if queue and not queue[0].started:
                boxes |= sum(1 << box for box in queue[0].boxes if not self.boxes[box])
        self.waits = next(iter(tag_of.values()), None), boxes
        self.running = False

    @property
    def outcome(self) -> Outcome:
        """What has become of it."""
        fault, position = self.fault or (Fault.NONE, 0)
        tag, boxes = self.waits if fault is Fault.TIMEOUT else (None, 0)
        return Outcome(
            fault=fault,
            position=position,
            overflow=self.status.overflow,
            invalid=self.status.invalid,
            tag=tag,
            boxes=boxes,
        )

    @property
    def found(self) -> bool:
        """Whether a status is set, here or by what was received."""
        return bool(self.status) or self.received

    def put_message(self, box: int) -> bool:
        """A message for a box; false if that is full."""
        if self.boxes[box] == BOX_MESSAGES:
            return False
        self.boxes[box] += 1
        return True

    def next_entry(self, unit: str) -> QueuedInstruction | None:
        """What a unit has to do now, if it waits for nothing; a message is taken for it."""
        if not self.queues[unit] or self.frozen:
            return None
        entry = self.queues[unit][0]
        if not entry.started:
            if not all(other.done for other in entry.after):
                return None
            if not all(self.boxes[box] for box in entry.boxes):
                return None
            entry.started = True
            for box in entry.boxes:
                self.boxes[box] -= 1
        return entry

    def free(self, unit: str) -> bool:
        """Whether a unit has room: for one at work or held, and for one behind it."""
        return len(self.queues[unit]) < OUTSTANDING

    def clear_of_waits(self, unit: str) -> bool:
        """Whether none is there that may have to wait, so that a barrier can speak of the next."""
        return all(entry.started for entry in self.queues[unit])

    def pending(self) -> Iterator[QueuedInstruction]:
        """Instructions that are not done, by unit."""
        for queue in self.queues.values():
            yield from queue

    def issue(self) -> bool:
        """Decodes an instruction, if its unit has room; whether anything has changed."""
        if self.fault or self.ending:
            idle = next(self.pending(), None) is None
            if idle or self.frozen:
                self.running = False
            return idle
        if self.loops and self.position >= self.loops[-1].end:
            self._loop_end()
            return True
        at = self.position
        try:
            decoded = fetch(_Words(self.dram, self.program), at, self.instructions.values())
            instruction = decoded.instruction
            unit = instruction.unit
            if unit in self.queues and not self.free(unit):
                return False
            operands = decoded.values(self.registers)
            registers = instruction.evaluate(operands)
            if instruction.mnemonic == "BARRIER" and not self._barrier(operands):
                return False
            self.position += instruction.words
            if instruction.mnemonic == "BARRIER":
                pass
            elif instruction.mnemonic == "LOOP":
                self._loop(operands)
            else:
                entry = QueuedInstruction(
                    instruction,
                    at,
                    operands,
                    command_of(unit, registers),
                    self.after[unit],
                    self.waited[unit],
                )
                self.after[unit], self.waited[unit] = [], set()
                self.queues[unit].append(entry)
        except ProgramError as error:
            self.stop(error.fault, at)
        return True

    def _barrier(self, operands: Mapping[str, int]) -> bool:
        """Notes who waits for what; false while one of those has one that may have to wait."""
        if operands["sub_type"] == Wait.END.value:
            if self.loops:
                raise ProgramError(Fault.LOOP, "the program must not end inside of a loop")
            self.ending = True
            return True
        units = [
            [unit for bit, unit in enumerate(UNITS[self.name]) if operands[name] >> bit & 1]
            for name in ("units", "after")
        ]
        if not all(self.clear_of_waits(unit) for unit in units[0]):
            return False
        for unit in units[0]:
            for other in units[1]:
                self.after[unit] += self.queues[other]
            self.waited[unit] |= {box for box in range(BOXES) if operands["boxes"] >> box & 1}
        return True

    def _loop(self, operands: Mapping[str, int]) -> None:
        if len(self.loops) == LOOP_LEVELS:
            raise ProgramError(Fault.LOOP, f"loops must be at most {LOOP_LEVELS} deep")
        steps = [(operands[register], operands[step]) for register, step in STEP_OPERANDS]
        self.loops.append(
            _Loop(
                left=operands["count"] - 1,
                begin=self.position,
                end=self.position + operands["length"],
                steps=steps,
                before=[self.registers[register] for register, _ in steps],
            )
        )

    def _loop_end(self) -> None:
        loop = self.loops[-1]
        if self.position > loop.end:
            self.stop(Fault.LOOP, self.position)
            return
        for (register, step), before in zip(loop.steps, loop.before, strict=True):
            if register:
                value = self.registers[register] + step if loop.left else before
                self.registers[register] = value & WORD_MAX
        if loop.left:
            loop.left -= 1
            self.position = loop.begin
        else:
            self.loops.pop()


class _Words:
    """The words of a program as they lie in DRAM."""

    def __init__(self, dram: NDArray[np.uint8], address: int):
        self._dram = dram
        self._address = address

    def __getitem__(self, position: int) -> int:
        at = self._address + position * WORD_BYTES
        if at + WORD_BYTES > len(self._dram):
            raise IndexError(position)
        return int.from_bytes(self._dram[at : at + WORD_BYTES].tobytes(), "little")
