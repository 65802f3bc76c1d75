"""Races of the programs of a core: whether what they leave behind depends on the pace of its units.

It is decided from the program alone. The units of a sub-core work side by side; what is known to be
done when an instruction starts is what stands in front of it in its unit, what a barrier or a
message makes it wait for, what the decoder has seen done, and all that those had waited for. Two
instructions of which neither knows the other race if they touch the same and one of them writes.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backspike.hw.config import ChipConfig
from backspike.hw.isa.encoding import WORD_BYTES
from backspike.hw.isa.instruction import Access
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import (
    OUTSTANDING,
    SRAMS,
    UNITS,
    WORD_MAX,
    Control,
    IsaShape,
    instruction_set,
)
from backspike.sim.model.machine.controller import ControllerModel, QueuedInstruction

__all__ = ["PROGRAM", "ExecutedInstruction", "Race", "Touch", "Unrolled", "races", "words_of"]

PROGRAM = "the words of a program"
"""What a race is over in which it is not known what is executed."""
Unit = tuple[str, str]
"""A sub-core and the name of a unit."""


class Race(NamedTuple):
    """Two instructions, by sub-core and position, and what the quicker one decides."""

    one: tuple[str, int]
    other: tuple[str, int]
    over: str


class Touch(NamedTuple):
    """Words of an SRAM, bytes of DRAM, or statuses, that an instruction reads or writes."""

    space: str
    places: NDArray[np.int64]
    writes: bool

    def meets(self, other: Touch) -> bool:
        """Whether the two may not change places."""
        return (
            self.space == other.space
            and (self.writes or other.writes)
            and self.places.min() <= other.places.max()
            and other.places.min() <= self.places.max()
            and bool(np.isin(self.places, other.places).any())
        )


@dataclass(frozen=True, eq=False)
class ExecutedInstruction:
    """An instruction as it is executed once: one in a loop makes several."""

    subcore: str
    entry: QueuedInstruction
    number: int
    """Of those of its unit."""
    before: Sequence[ExecutedInstruction]
    """Those that are done when it starts, those among them that tell of all others."""
    stops: bool
    """Whether it stops the sub-core: a transfer beyond the end of DRAM, or over no connection."""

    @property
    def unit(self) -> Unit:
        """The unit that it is for."""
        return self.subcore, self.entry.instruction.unit

    @property
    def place(self) -> tuple[str, int]:
        """Sub-core and position."""
        return self.subcore, self.entry.position

    @property
    def box(self) -> tuple[str, int] | None:
        """Sub-core and box that it puts a message in."""
        operands = self.entry.operands
        if operands.get("msg_box") is None or operands["flow_type"] != Control.SIGNAL.value:
            return None
        (other,) = set(UNITS) - {self.subcore}
        return other, operands["msg_box"]


@dataclass(eq=False)
class _Decoder(ControllerModel):
    """Decodes on and on, since units have room for all: whatever is issued stays in its queue."""

    def free(self, unit: str) -> bool:
        return True

    def clear_of_waits(self, unit: str) -> bool:
        return True


class Unrolled:
    """The programs of a core without their loops.

    Parameters
    ----------
    config : ChipConfig
    dram : uint8 array
        From address 0 to its end.
    programs : mapping of str to int
        Addresses of programs, by sub-core.
    limit : int
        Instructions that a program may decode, loops and barriers among them.

    Attributes
    ----------
    steps : mapping of str to list of ExecutedInstruction
        Of each program, as they are decoded, up to the end or to what the decoder refuses.
    fetched : mapping of str to Touch
        The bytes of each program.

    Raises
    ------
    ValueError
        If a program decodes more.
    """

    def __init__(
        self,
        config: ChipConfig,
        dram: NDArray[np.uint8],
        programs: Mapping[str, int],
        *,
        limit: int = 10_000,
    ):
        self._config, self._dram = config, dram
        self._shape = IsaShape.from_config(config)
        self.steps: dict[str, list[ExecutedInstruction]] = {}
        self.fetched: dict[str, Touch] = {}
        for subcore, address in programs.items():
            self._unroll(subcore, address, limit)

    def _unroll(self, subcore: str, address: int, limit: int) -> None:
        instructions = instruction_set(self._shape, subcore)
        decoder = _Decoder(subcore, address, self._dram, instructions)
        units: dict[str, list[ExecutedInstruction]] = {unit: [] for unit in UNITS[subcore]}
        made: dict[QueuedInstruction, ExecutedInstruction] = {}
        last = 0
        for _ in range(limit):
            last = max(last, decoder.position)
            decoder.issue()
            for unit, steps in units.items():
                for entry in decoder.queues[unit][len(steps) :]:
                    after = {each.instruction.unit: made[each] for each in entry.after}
                    seen = [
                        each[-OUTSTANDING - 1] for each in units.values() if len(each) > OUTSTANDING
                    ]
                    before = [*after.values(), *steps[-1:], *seen]
                    made[entry] = self._step(subcore, entry, len(steps), before)
                    steps.append(made[entry])
            if decoder.fault or decoder.ending:
                break
        else:
            raise ValueError(f"the program of {subcore} decodes more than {limit} instructions")
        self.steps[subcore] = list(made.values())
        end = last + max(each.words for each in instructions.values())
        read = address + np.arange(end * WORD_BYTES)
        self.fetched[subcore] = Touch("dram", read, False)

    def _step(
        self,
        subcore: str,
        entry: QueuedInstruction,
        number: int,
        before: Sequence[ExecutedInstruction],
    ) -> ExecutedInstruction:
        instruction, operands = entry.instruction, entry.operands
        stops = False
        if instruction.unit in ("read", "write"):
            end = len(self._dram) // self._shape.bus_bytes * self._shape.bus_bytes
            firsts, size = self._rows(subcore, operands)
            stops = bool(firsts.max() + size > end)
        elif instruction.mnemonic == "NOC_DATA":
            stops = operands["flow_type"] != Flow.CORE.value
        elif instruction.mnemonic == "NOC_CTRL":
            stops = Control(operands["flow_type"]) in (
                Control.REMOTE_SIGNAL,
                Control.REMOTE_COLLECT,
            )
        return ExecutedInstruction(subcore, entry, number, before, stops)

    def _rows(self, subcore: str, operands: Mapping[str, int]) -> tuple[NDArray[np.int64], int]:
        """The first byte of each row of a transfer, and the bytes of a row."""
        sram = self._config.srams[f"{subcore}.{SRAMS[subcore][operands['sram']]}"]
        rows = operands["dram"] + np.arange(operands["rows"]) * operands["dram_row"] & WORD_MAX
        return rows, operands["words"] * sram.width // 8

    def touches(self, step: ExecutedInstruction) -> list[Touch]:
        """All that an instruction touches."""
        instruction, operands = step.entry.instruction, step.entry.operands
        values = instruction.values(operands)
        touches = [
            Touch(each.sram, words_of(each, values), each.writes)
            for each, _ in instruction.reaches(operands)
        ]
        if instruction.unit in ("read", "write"):
            firsts, size = self._rows(step.subcore, operands)
            places = np.add.outer(firsts, np.arange(size)).reshape(-1)
            touches.append(Touch("dram", places, instruction.unit == "write"))
        elif instruction.unit != "noc":
            # In whatever order they are set, they are the same in the end.
            touches.append(_status(step.subcore, writes=False))
        elif instruction.mnemonic == "NOC_CTRL":
            flow = Control(operands["flow_type"])
            if flow is Control.CLEAR:
                touches.append(_status(step.subcore, writes=True))
            elif flow is Control.COLLECT:
                touches += (_status(each, writes=True) for each in UNITS)
        if instruction.mnemonic == "WU":
            # It counts rows of tiles in bp.w, of which a word holds several.
            rows = self._shape.lanes // self._shape.tile_words
            touches = [
                each._replace(places=each.places // rows) if each.space == "bp.w" else each
                for each in touches
            ]
        return touches


def words_of(access: Access, values: Mapping[str, int]) -> NDArray[np.int64]:
    """Each word that an access touches, once for each time."""
    words = np.array([values[access.base]])
    for count, stride in access.extents:
        words = np.add.outer(words, np.arange(values[count]) * values[stride]).reshape(-1)
    return np.add.outer(words, np.arange(access.words)).reshape(-1)


def _status(subcore: str, *, writes: bool) -> Touch:
    return Touch(f"{subcore}.status", np.zeros(1, np.int64), writes)


def races(programs: Unrolled) -> list[Race]:
    """All races of programs that run side by side on a core without connections.

    If there are none, contents of memories and the outcomes of the programs do not depend on the
    pace, but for instructions that write a word twice or read what they write, and for a time-out
    that is shorter than what the other sub-core works between two messages.
    """
    order = _Order(programs.steps)
    found = order.races
    touches = {step: programs.touches(step) for step in order.known}
    for program, read in programs.fetched.items():
        found += (
            Race((program, 0), step.place, PROGRAM)
            for step in order.known
            if any(each.meets(read) for each in touches[step])
        )
    for one, other in itertools.combinations(order.known, 2):
        if order.knows(one, other) or order.knows(other, one):
            continue
        over = [a.space for a in touches[one] for b in touches[other] if a.meets(b)]
        if one.subcore == other.subcore and (one.stops or other.stops):
            over.append("whether it still starts")
        found += (Race(one.place, other.place, each) for each in over)
    return found


class _Order:
    """Finds out which steps are executed, and what each of them knows when it starts.

    Attributes
    ----------
    known : mapping of ExecutedInstruction to mapping of unit to int
        Of each step that is executed: how many of each unit are done when it starts.
    races : list of Race
        Over messages.
    """

    def __init__(self, steps: Mapping[str, list[ExecutedInstruction]]):
        self.known: dict[ExecutedInstruction, dict[Unit, int]] = {}
        self.races: list[Race] = []
        self._sent: dict[tuple[str, int], list[ExecutedInstruction]] = defaultdict(list)
        """By sub-core and box that a message is put in."""
        self._taken: dict[tuple[str, int], list[ExecutedInstruction]] = defaultdict(list)
        """By sub-core and box that it is taken out of."""
        waiting = [step for each in steps.values() for step in each]
        started = True
        while started:
            left = [step for step in waiting if not self._start(step)]
            waiting, started = left, len(left) < len(waiting)

    def knows(self, step: ExecutedInstruction, other: ExecutedInstruction) -> bool:
        """Whether ``other`` is done when ``step`` starts."""
        return self.known[step].get(other.unit, 0) > other.number

    def _start(self, step: ExecutedInstruction) -> bool:
        """Notes what a step knows; false if what it waits for is not done."""
        boxes = [(step.subcore, box) for box in step.entry.boxes]
        if not all(each in self.known and not each.stops for each in step.before):
            return False
        if not all(len(self._sent[box]) > len(self._taken[box]) for box in boxes):
            return False
        self.known[step] = {}
        self._join(step, step.before)
        # Whoever takes the next message must be behind who took the last one without its help.
        self.races += (
            Race(last.place, step.place, f"box {box[1]} of {box[0]}")
            for box in boxes
            for last in self._taken[box][-1:]
            if not self.knows(step, last)
        )
        self._join(step, [self._sent[box][len(self._taken[box])] for box in boxes])
        for box in boxes:
            self._taken[box].append(step)
        if step.box and not step.stops:
            self._sent[step.box].append(step)
        return True

    def _join(self, step: ExecutedInstruction, others: Sequence[ExecutedInstruction]) -> None:
        known = self.known[step]
        for other in others:
            for unit, count in (*self.known[other].items(), (other.unit, other.number + 1)):
                known[unit] = max(known.get(unit, 0), count)
