"""The instruction-level model of a core: runs program words as the two controllers do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hw.config import ChipConfig
from hw.instruction import Fault, Instruction, ProgramError
from hw.isa import (
    BOX_MESSAGES,
    BOXES,
    LOOP_LEVELS,
    LOOP_STEPS,
    REGISTERS,
    ROUTES,
    SRAMS,
    UNITS,
    WORD_MAX,
    Control,
    IsaShape,
    Wait,
    instruction_set,
)
from hw.units import command_of
from sim.model.machine.convolve import run_bp, run_fp
from sim.model.machine.element import run_grad, run_soma
from sim.model.machine.gradients import run_wg
from sim.model.machine.memories import Memories
from sim.model.machine.update import run_update
from sim.model.number import Status
from toolchain.encode import WORD_BYTES, fetch

__all__ = ["CoreModel", "Outcome"]

COMPUTES = {
    "fp": run_fp,
    "soma": run_soma,
    "bp": run_bp,
    "wg": run_wg,
    "grad": run_grad,
    "wu": run_update,
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What has become of the program of a sub-core."""

    fault: Fault
    position: int
    """Of the instruction that stopped it, in words from the beginning of the program."""
    overflow: bool
    invalid: bool


@dataclass(eq=False)
class _Entry:
    """An instruction that is decoded and not done."""

    instruction: Instruction
    position: int
    command: dict
    after: list[_Entry]
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


@dataclass
class _SubCore:
    """State of the controller of a sub-core."""

    name: str
    program: int
    instructions: Mapping[str, Instruction]
    position: int = 0
    registers: list[int] = field(default_factory=lambda: [0] * REGISTERS)
    loops: list[_Loop] = field(default_factory=list)
    queues: dict[str, list[_Entry]] = field(default_factory=dict)
    after: dict[str, list[_Entry]] = field(default_factory=dict)
    waited: dict[str, set[int]] = field(default_factory=dict)
    boxes: list[int] = field(default_factory=lambda: [0] * BOXES)
    status: Status = field(default_factory=Status)
    inhibit: bool = False
    ending: bool = False
    running: bool = True
    """Whether there is anything left to do."""
    fault: tuple[Fault, int] | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        for unit in UNITS[self.name]:
            self.queues[unit], self.after[unit], self.waited[unit] = [], [], set()

    def stop(self, fault: Fault, position: int) -> None:
        """Of several faults, the one in front is told: the decoder runs ahead of the units."""
        freezes = fault in (Fault.BUS, Fault.TIMEOUT)
        if not self.fault or (freezes and not self.frozen):
            self.fault = (fault, position)
        self.frozen |= freezes

    def free(self, unit: str) -> bool:
        """Whether a unit has room: one instruction waits in front of the one at work."""
        return all(entry.started for entry in self.queues[unit])

    def pending(self) -> Iterator[_Entry]:
        """Instructions that are not done, by unit."""
        for queue in self.queues.values():
            yield from queue


class CoreModel:
    """The SRAMs of a core, its DRAM, and what programs do to them.

    Parameters
    ----------
    config : ChipConfig
    dram : uint8 array
        What lies in DRAM from ``origin`` on; the bus answers with an error beyond its end.
    order : callable, optional
        Puts the units that could go on into another order, e.g. the ``shuffle`` of a random
        generator: a program whose outcome depends on it has a race.
    """

    def __init__(
        self,
        config: ChipConfig,
        dram: NDArray[np.uint8],
        *,
        order: Callable[[list], None] | None = None,
    ):
        self.config = config
        self.memories = Memories(config)
        self.dram = dram
        self._order = order
        self._shape = IsaShape.from_config(config)
        self._commands = 0

    def run(self, programs: Mapping[str, int]) -> dict[str, Outcome]:
        """Runs the programs that lie at these addresses in DRAM, by sub-core, side by side."""
        subcores = {
            name: _SubCore(name, address, instruction_set(self._shape, name))
            for name, address in programs.items()
        }
        while any(subcore.running for subcore in subcores.values()):
            work = [
                (subcore, unit)
                for subcore in subcores.values()
                if subcore.running
                for unit in (None, *UNITS[subcore.name])
            ]
            if self._order:
                self._order(work)
            moved = False
            for subcore, unit in work:
                if subcore.running:
                    moved |= (
                        self._issue(subcore)
                        if unit is None
                        else self._execute(subcore, unit, subcores)
                    )
            if not moved:
                # Nothing will ever come: the first unit that waits is told.
                for subcore in subcores.values():
                    if subcore.running:
                        waiting = next(subcore.pending(), None)
                        at = waiting.position if waiting else subcore.position
                        subcore.stop(Fault.TIMEOUT, at)
                        subcore.running = False
        return {
            name: Outcome(
                fault=subcore.fault[0] if subcore.fault else Fault.NONE,
                position=subcore.fault[1] if subcore.fault else 0,
                overflow=subcore.status.overflow,
                invalid=subcore.status.invalid,
            )
            for name, subcore in subcores.items()
        }

    def _issue(self, subcore: _SubCore) -> bool:
        """Decodes an instruction, if its unit has room; whether anything has changed."""
        if subcore.fault or subcore.ending:
            idle = next(subcore.pending(), None) is None
            if idle or subcore.frozen:
                subcore.running = False
            return idle
        if subcore.loops and subcore.position >= subcore.loops[-1].end:
            self._loop_end(subcore)
            return True
        at = subcore.position
        try:
            decoded = fetch(_Words(self.dram, subcore.program), at, subcore.instructions.values())
            instruction = decoded.instruction
            unit = instruction.unit
            if unit in subcore.queues and not subcore.free(unit):
                return False
            operands = decoded.values(subcore.registers)
            registers = instruction.evaluate(operands)
            if instruction.mnemonic == "BARRIER" and not self._barrier(subcore, operands):
                return False
            subcore.position += instruction.words
            if instruction.mnemonic == "BARRIER":
                pass
            elif instruction.mnemonic == "LOOP":
                self._loop(subcore, operands)
            else:
                entry = _Entry(
                    instruction,
                    at,
                    command_of(unit, registers),
                    subcore.after[unit],
                    subcore.waited[unit],
                )
                subcore.after[unit], subcore.waited[unit] = [], set()
                subcore.queues[unit].append(entry)
        except ProgramError as error:
            subcore.stop(error.fault, at)
        return True

    def _barrier(self, subcore: _SubCore, operands: Mapping[str, int]) -> bool:
        """Notes who waits for what; false while one of those has no room for it."""
        if operands["sub_type"] == Wait.END.value:
            if subcore.loops:
                raise ProgramError(Fault.LOOP, "the program must not end inside of a loop")
            subcore.ending = True
            return True
        units = [
            [unit for bit, unit in enumerate(UNITS[subcore.name]) if operands[name] >> bit & 1]
            for name in ("units", "after")
        ]
        if not all(subcore.free(unit) for unit in units[0]):
            return False
        for unit in units[0]:
            for other in units[1]:
                subcore.after[unit] += subcore.queues[other]
            subcore.waited[unit] |= {box for box in range(BOXES) if operands["boxes"] >> box & 1}
        return True

    def _loop(self, subcore: _SubCore, operands: Mapping[str, int]) -> None:
        if len(subcore.loops) == LOOP_LEVELS:
            raise ProgramError(Fault.LOOP, f"loops must be at most {LOOP_LEVELS} deep")
        steps = [
            (operands[f"register_{step}"], operands[f"step_{step}"]) for step in range(LOOP_STEPS)
        ]
        subcore.loops.append(
            _Loop(
                left=operands["count"] - 1,
                begin=subcore.position,
                end=subcore.position + operands["length"],
                steps=steps,
                before=[subcore.registers[register] for register, _ in steps],
            )
        )

    def _loop_end(self, subcore: _SubCore) -> None:
        loop = subcore.loops[-1]
        if subcore.position > loop.end:
            subcore.stop(Fault.LOOP, subcore.position)
            return
        for (register, step), before in zip(loop.steps, loop.before, strict=True):
            if register:
                value = subcore.registers[register] + step if loop.left else before
                subcore.registers[register] = value & WORD_MAX
        if loop.left:
            loop.left -= 1
            subcore.position = loop.begin
        else:
            subcore.loops.pop()

    def _execute(self, subcore: _SubCore, unit: str, subcores: Mapping[str, _SubCore]) -> bool:
        """Runs the next instruction of a unit, if it has one that waits for nothing."""
        if not subcore.queues[unit] or subcore.frozen:
            return False
        entry = subcore.queues[unit][0]
        if not entry.started:
            if not all(other.done for other in entry.after):
                return False
            if not all(subcore.boxes[box] for box in entry.boxes):
                return False
            entry.started = True
            for box in entry.boxes:
                subcore.boxes[box] -= 1
        if unit == "noc" and not entry.command["moves"]:
            if not self._control(subcore, entry.command, subcores):
                return False  # it has started, and waits for room in the box
        elif unit == "noc":
            self._copy(subcore, entry.command["copy"])
        elif unit in ("read", "write"):
            self._transfer(subcore, entry)
        else:
            command = entry.command
            if unit == "wu":
                command = {**command, "inhibit": int(subcore.inhibit)}
            COMPUTES[unit](command, self.memories, self.config, subcore.status)
        entry.done = True
        subcore.queues[unit].pop(0)
        return True

    def _control(
        self, subcore: _SubCore, command: Mapping[str, int], subcores: Mapping[str, _SubCore]
    ) -> bool:
        """NOC_CTRL; false if it has to wait."""
        other = next((each for name, each in subcores.items() if name != subcore.name), None)
        flow = Control(command["flow_type"])
        if flow is Control.SIGNAL and other is not None:
            if other.boxes[command["msg_box"]] == BOX_MESSAGES:
                return False
            other.boxes[command["msg_box"]] += 1
        elif flow is Control.CLEAR:
            subcore.status.clear()
        elif flow is Control.COLLECT:
            subcore.inhibit = bool(subcore.status) or (other is not None and bool(other.status))
        return True

    def _copy(self, subcore: _SubCore, command: Mapping[str, int]) -> None:
        """NOC_DATA inside of the core."""
        here, there = ROUTES[subcore.name][command["route"]]
        source, destination = self.memories.raw[f"{subcore.name}.{here}"], self.memories.raw[there]
        for row in range(command["rows"]):
            first = command["source"] + row * command["source_row"] & 0xFFFF
            to = command["destination"] + row * command["destination_row"] & 0xFFFF
            destination[to : to + command["words"]] = source[first : first + command["words"]]

    def _transfer(self, subcore: _SubCore, entry: _Entry) -> None:
        """DMA_RD and DMA_WR; what lies in front of an error is transferred."""
        command = entry.command
        words = self.memories.raw[f"{subcore.name}.{SRAMS[subcore.name][command['sram']]}"]
        bus = self.config.dram.bus_bits // 8
        size = words.shape[1]
        for row in range(command["rows"]):
            first = command["base"] + row * command["sram_row"] & 0xFFFF
            address = command["dram"] + row * command["dram_row"] & WORD_MAX
            inside = (len(self.dram) - address) // bus * bus
            count = min(command["words"], max(0, inside) // size)
            part = self.dram[address : address + count * size].reshape(count, size)
            if entry.instruction.unit == "read":
                words[first : first + count] = part
            else:
                part[:] = words[first : first + count]
            if count < command["words"]:
                subcore.stop(Fault.BUS, entry.position)
                return


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
