"""Programs whose instructions wait for each other where they touch the same words.

The units of a sub-core work side by side. What they do to SRAMs follows from the table of
instructions, what DMA does to DRAM from its operands, so that the barriers can be put in here and
need not be thought of anywhere else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Unpack

from backspike.compiler.assembling.program import At, Program
from backspike.compiler.memory.dram import DRAM_BYTES
from backspike.compiler.order.barriers import placed
from backspike.compiler.order.cycles import DENSITY, decode_cycles
from backspike.compiler.order.entry import MessageWaits, PendingInstruction
from backspike.compiler.order.timeline import START, Moment, Timeline
from backspike.compiler.order.touch import Touch
from backspike.hw.config import ChipConfig
from backspike.hw.isa.instruction import Instruction
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import SRAMS, UNITS, Control, IsaShape, instruction_set
from backspike.hw.isa.units import UNIT_TABLE, Unit
from backspike.hw.isa.work import Work

__all__ = ["OrderedProgram"]

ROWS_APART = 4
"""Rows of a DMA instruction that are told apart from what lies between them, at most."""


@dataclass
class _Segment:
    """Instructions one after the other; the body of a loop is one of its own."""

    entries: list[PendingInstruction] = field(default_factory=list)
    phases: dict[int, str] = field(default_factory=dict)
    loop: tuple[int, tuple[int, ...], str] | None = None
    """Count, steps and reason."""

    def reorder(self, order: Sequence[int]) -> None:
        """Puts its instructions in another order.

        A phase still begins with the same instruction; those that were moved across that belong to
        another one now.
        """
        places = {number: place for place, number in enumerate(order)}
        self.entries = [self.entries[number] for number in order]
        self.phases = {places.get(number, number): name for number, name in self.phases.items()}


class OrderedProgram:
    """Collects the instructions of a sub-core; :meth:`finish` makes the program, with barriers.

    A barrier stands where an instruction reads what another unit writes, or writes what another one
    reads or writes, and the other may not be done yet. It stands as far in front as makes the
    instruction wait for what it needs and, if there is such a place, for nothing behind that.
    Between the sub-cores there are messages only: one is sent when DRAM holds what is stored in
    front of it, and so when all that this was made from is read. Where one sub-core writes SRAMs
    of another, that one has to be told in ``exchanged``. A message that leaves the core waits for
    what is in front of it in its own unit, and for ``exchanged``.

    Parameters
    ----------
    config : ChipConfig
    subcore : str
        ``fp`` or ``bp``.
    density : mapping of mnemonic to float
        Share of the dense cycles that arrays need, about.
    """

    def __init__(self, config: ChipConfig, subcore: str, density: Mapping[str, float] = DENSITY):
        self.subcore = subcore
        self.timeline = Timeline()
        """Of what was added."""
        self.work = 0
        """What is added now; those of a unit and work stay in order when they are arranged."""
        self._config, self._density = config, density
        self._shape = IsaShape.from_config(config)
        self._instructions = instruction_set(self._shape, subcore)
        self._word_bytes = [config.srams[f"{subcore}.{sram}"].width // 8 for sram in SRAMS[subcore]]
        self._segments = [_Segment()]

    def phase(self, name: str) -> None:
        """What is added from here on belongs to a phase of the program."""
        segment = self._segments[-1]
        segment.phases[len(segment.entries)] = name

    def add(
        self,
        mnemonic: str,
        operands: Mapping[str, int | At],
        *,
        reason: str,
        scalars: Mapping[str, str] | None = None,
        **waits: Unpack[MessageWaits],
    ) -> Moment:
        """Adds an instruction; operands left out are 0, or the least allowed.

        Parameters
        ----------
        scalars : mapping of operand to name
            Operands that change from step to step: :attr:`Program.scalars` tells where they are.
        waits : MessageWaits

        Returns
        -------
        Moment
            When it is decoded and done, about; DMA and messages have a latency besides.

        Raises
        ------
        backspike.hw.isa.instruction.ProgramError
            If the hardware would refuse it.
        """
        instruction = self._instructions[mnemonic]
        unit = UNIT_TABLE[self.subcore][instruction.unit]
        values = instruction.fill(
            {name: v.value if isinstance(v, At) else v for name, v in operands.items()}
        )
        touches = [*self._touches(instruction, unit, values), *waits.get("exchanged", ())]
        cycles = unit.cycles(Work(self._config, values, self._density.get(mnemonic, 1.0)))
        comes = waits.get("comes", START)
        moment = self.timeline.add(unit.name, cycles, touches, comes)
        self._segments[-1].entries.append(
            PendingInstruction(
                mnemonic=mnemonic,
                unit=unit.name,
                operands=operands,
                reason=reason,
                touches=touches,
                decoding=decode_cycles(self._shape, self.subcore)[mnemonic],
                cycles=cycles,
                start=moment.done - cycles,
                work=self.work,
                moment=moment,
                comes=comes,
                boxes=waits.get("boxes", ()),
                scalars=scalars or {},
            )
        )
        return moment

    def _touches(
        self, instruction: Instruction, unit: Unit, values: Mapping[str, int]
    ) -> Iterator[Touch]:
        """What an instruction reads and writes: SRAMs, and DRAM and statuses."""
        away = instruction.mnemonic == "NOC_DATA" and values["flow_type"] != Flow.CORE.value
        for each, reach in instruction.reaches(values):
            if not (away and each.base == "destination"):  # that is no SRAM of this core
                yield Touch(each.sram, *self._words(unit, each.sram, reach), each.writes)
        if unit.name in ("read", "write"):
            yield from self._dram(values, unit.name == "write")
        elif unit.computes:
            yield Touch("status", 0, 0, False)
        elif instruction.mnemonic == "NOC_CTRL":
            if values["flow_type"] == Control.SIGNAL.value:
                yield Touch("dram", 0, DRAM_BYTES - 1, False)
            elif values["flow_type"] != Control.REMOTE_SIGNAL.value:
                yield Touch("status", 0, 0, True)

    def _words(self, unit: Unit, sram: str, reach: tuple[int, int]) -> tuple[int, int]:
        """First and last word of an access, which a unit may count in rows of tiles."""
        rows = self._config.array.weight_words if sram in unit.tile_rows else 1
        first, last = reach
        return first // rows, last // rows

    def _dram(self, values: Mapping[str, int], writes: bool) -> Iterator[Touch]:
        """The bytes of DRAM that a DMA instruction touches; of many rows, from first to last."""
        rows, step = values["rows"], values["dram_row"]
        size = values["words"] * self._word_bytes[values["sram"]]
        firsts = [values["dram"] + row * step for row in range(rows)]
        if rows > ROWS_APART:
            size += max(firsts) - min(firsts)
            firsts = [min(firsts)]
        for first in firsts:
            yield Touch("dram", first, first + size - 1, writes)

    @contextlib.contextmanager
    def loop(self, count: int, *steps: int, reason: str) -> Iterator[tuple[At, ...]]:
        """Repeats what is added inside of the context, each time when all before it is done.

        Yields, for each of ``steps``, an :class:`At` 0 that grows by so much each time. Loops are
        not put into each other, and only addresses in DRAM, or in another core, may be stepped.
        """
        self._segments.append(_Segment(loop=(count, steps, reason)))
        self.timeline.fence()
        yield tuple(At(0, number, (count - 1) * step) for number, step in enumerate(steps))
        self.fence()

    def fence(self) -> None:
        """What is added from here on starts when all in front of it is done."""
        self._segments.append(_Segment())
        self.timeline.fence()

    @property
    def entries(self) -> Sequence[PendingInstruction]:
        """What was added in front of the first loop or fence."""
        return self._segments[0].entries

    def reorder(self, order: Sequence[int]) -> None:
        """Puts :attr:`entries` in another order, in which those that touch the same stay."""
        self._segments[0].reorder(order)

    def rearrange(self, *, after_fence: bool = False) -> None:
        """Puts what was added in the order in which it should be decoded.

        What it does stays the same. With ``after_fence``, :attr:`entries` stay where they are.
        """
        for segment in self._segments[int(after_fence) :]:
            entries = segment.entries
            segment.reorder(
                sorted(range(len(entries)), key=lambda number: entries[number].moment.decoded)
            )

    def finish(self) -> Program:
        """The program."""
        program = Program(self._shape, self.subcore)
        for number, segment in enumerate(self._segments):
            if segment.loop:
                count, steps, reason = segment.loop
                with program.loop(count, *steps, reason=reason) as registers:
                    self._emit(program, segment, registers, fence=True)
            elif segment.entries or segment.phases:
                self._emit(program, segment, (), fence=number > 0)
        program.end()
        return program

    def _emit(
        self, program: Program, segment: _Segment, registers: Sequence[At], *, fence: bool
    ) -> None:
        units = UNITS[self.subcore]
        if fence:
            program.barrier(units, after=units, reason="all is done first")
        barriers = placed(segment.entries, units)
        for index in range(-1, len(segment.entries)):
            if index >= 0:
                self._emit_one(program, segment.entries[index], registers)
            if index + 1 in segment.phases:
                program.phase(segment.phases[index + 1])
            for barrier, waiting in barriers.get(index, {}).items():
                after = barrier.among if len(waiting) > 1 else barrier.among - set(waiting)
                reason = f"{' and '.join(waiting)} would meet what is at work"
                if barrier.boxes:
                    reason = f"{waiting[0]} waits for a message"
                program.barrier(waiting, after=after, boxes=barrier.boxes, reason=reason)

    def _emit_one(
        self, program: Program, entry: PendingInstruction, registers: Sequence[At]
    ) -> None:
        operands = {
            name: registers[value.register] + value.value if isinstance(value, At) else value
            for name, value in entry.operands.items()
        }
        position = program.add(entry.mnemonic, operands, reason=entry.reason)
        for operand, name in entry.scalars.items():
            program.scalars.setdefault(name, []).append(program.word_of(position, operand))
