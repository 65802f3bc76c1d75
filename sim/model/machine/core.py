"""A core of the instruction-level model: runs program words as the two controllers do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backspike.hw.config import ChipConfig
from backspike.hw.core.connection import Connection, Place
from backspike.hw.isa.instruction import Fault
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.operands import ADDRESS_MAX
from backspike.hw.isa.table import (
    OWN_ROUTES,
    ROUTES,
    SRAMS,
    UNITS,
    WORD_MAX,
    Control,
    IsaShape,
    instruction_set,
)
from backspike.hw.isa.units import UNIT_TABLE
from backspike.hw.limits import check_whole
from backspike.sim.model.machine.controller import ControllerModel, Outcome, QueuedInstruction
from backspike.sim.model.machine.convolve import run_bp, run_fp
from backspike.sim.model.machine.element import run_grad, run_soma
from backspike.sim.model.machine.gradients import run_wg
from backspike.sim.model.machine.memories import Memories
from backspike.sim.model.machine.update import run_update

__all__ = ["Connections", "CoreModel", "Outcome"]

MODELS = {
    "fp": run_fp,
    "soma": run_soma,
    "bp": run_bp,
    "wg": run_wg,
    "grad": run_grad,
    "wu": run_update,
}
"""What each unit does but those that move data, by its name."""

Connections = Mapping[str, Mapping[int, Connection]]
"""Of a core, by sub-core and tag."""


class CoreModel:
    """The SRAMs of a core of a :class:`ChipModel`, its DRAM, and what programs do to them.

    Parameters
    ----------
    config : ChipConfig
    dram : uint8 array
        What lies in DRAM from ``origin`` on; the bus answers with an error beyond its end.
    connections : mapping
        Without any, nothing leaves the core.

    Raises
    ------
    ValueError
        If a tag has no place in the table of connections.
    """

    def __init__(
        self,
        config: ChipConfig,
        dram: NDArray[np.uint8],
        connections: Connections,
    ):
        self.config = config
        self.memories = Memories(config)
        self.dram = dram
        self.subcores: dict[str, ControllerModel] = {}
        self._connections = connections
        for tag in (tag for tags in self._connections.values() for tag in tags):
            check_whole("a tag with a connection", tag, 0, config.noc.connections - 1)
        self._shape = IsaShape.from_config(config)

    def begin(self, programs: Mapping[str, int], *, empty: bool = True) -> None:
        """Is about to run them, with what came and was not taken unless boxes are to be empty."""
        before = self.subcores
        self.subcores = {
            name: ControllerModel(
                name,
                programs.get(name, 0),
                self.dram,
                instruction_set(self._shape, name),
                running=name in programs,
            )
            for name in UNITS
        }
        if not empty:
            for name, subcore in before.items():
                self.subcores[name].boxes = subcore.boxes
                self.subcores[name].received = subcore.received

    def execute(
        self, subcore: ControllerModel, unit: str, cores: Mapping[Place, CoreModel]
    ) -> bool:
        """Runs the next instruction of a unit, if it has one that waits for nothing."""
        entry = subcore.next_entry(unit)
        if entry is None:
            return False
        if unit == "noc":
            run = self._copy if entry.command["moves"] else self._control
            if not run(subcore, entry, cores):
                return False  # it has started, and waits for room in a box
        elif unit in ("read", "write"):
            self._transfer(subcore, entry)
        else:
            command = entry.command
            if UNIT_TABLE[subcore.name][unit].inhibited:
                command = {**command, "inhibit": int(subcore.inhibit)}
            MODELS[unit](command, self.memories, self.config, subcore.status)
        entry.done = True
        subcore.queues[unit].pop(0)
        return True

    def waiting_tags(self, subcore: ControllerModel) -> dict[str, int]:
        """The tag of what has started and has got no answer yet, by unit."""
        queue = subcore.queues["noc"]
        if not queue or not queue[0].started or queue[0].command["moves"]:
            return {}
        flow = Control(queue[0].command["flow_type"])
        remote = flow in (Control.REMOTE_SIGNAL, Control.REMOTE_COLLECT)
        return {"noc": queue[0].command["copy"]["tag_id"]} if remote else {}

    def _other_end(
        self, subcore: ControllerModel, tag: int, cores: Mapping[Place, CoreModel]
    ) -> tuple[CoreModel, str] | None:
        """The core and the name of the sub-core behind a tag, if there is one."""
        connection = self._connections.get(subcore.name, {}).get(tag)
        if connection is None or connection.place not in cores:
            return None
        return cores[connection.place], connection.subcore

    def _control(
        self, subcore: ControllerModel, entry: QueuedInstruction, cores: Mapping[Place, CoreModel]
    ) -> bool:
        """NOC_CTRL; false if it has to wait."""
        command = entry.command
        flow, box = Control(command["flow_type"]), command["msg_box"]
        (other,) = (each for each in self.subcores.values() if each is not subcore)
        found = subcore.found or other.found
        if flow is Control.SIGNAL:
            return other.put_message(box)
        if flow is Control.CLEAR:
            subcore.status.clear()
            subcore.received = False
        elif flow is Control.COLLECT:
            subcore.inhibit = found
        else:
            end = self._other_end(subcore, command["copy"]["tag_id"], cores)
            if end is None:
                subcore.stop(Fault.CONNECTION, entry.position)
                return True
            core, name = end
            there = core.subcores[name]
            if not there.put_message(box):
                return False
            there.received |= found and flow is Control.REMOTE_COLLECT
        return True

    def _copy(
        self, subcore: ControllerModel, entry: QueuedInstruction, cores: Mapping[Place, CoreModel]
    ) -> bool:
        """NOC_DATA."""
        command = entry.command["copy"]
        flow, route = Flow(command["flow"]), command["route"]
        here, there = ROUTES[subcore.name][route]
        source = self.memories.raw[f"{subcore.name}.{here}"]
        targets = [(self, there, "destination")]
        if flow is not Flow.CORE:
            end = self._other_end(subcore, command["tag_id"], cores)
            if end is None or end[1] != there.partition(".")[0]:
                subcore.stop(Fault.CONNECTION, entry.position)
                return True
            targets = [(end[0], there, "destination")]
        if flow is Flow.MULTICAST:
            own = OWN_ROUTES[subcore.name][route]
            targets.append((self, ROUTES[subcore.name][own][1], "own"))
        for row in range(command["rows"]):
            first = command["source"] + row * command["source_row"] & ADDRESS_MAX
            for core, sram, name in targets:
                to = command[name] + row * command[f"{name}_row"] & ADDRESS_MAX
                words = core.memories.raw[sram]
                words[to : to + command["words"]] = source[first : first + command["words"]]
        return True

    def _transfer(self, subcore: ControllerModel, entry: QueuedInstruction) -> None:
        """DMA_RD and DMA_WR; what lies in front of an error is transferred."""
        command = entry.command
        words = self.memories.raw[f"{subcore.name}.{SRAMS[subcore.name][command['sram']]}"]
        bus = self.config.dram.bus_bits // 8
        size = words.shape[1]
        for row in range(command["rows"]):
            first = command["base"] + row * command["sram_row"] & ADDRESS_MAX
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
