"""The memories and registers of a core in a simulation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backspike.hw.config import ChipConfig
from backspike.hw.core.core import counter_names
from backspike.hw.core.map import BY_NAME, REGISTERS, counter_addresses
from backspike.hw.core.subcore import SubCore
from backspike.hw.isa.instruction import Fault
from backspike.hw.isa.table import SRAMS, UNITS
from backspike.sim.harness.driver import backdoor
from backspike.sim.harness.host import Host
from backspike.sim.harness.recorder import TIME_BITS
from backspike.sim.model.machine.controller import Outcome
from backspike.sim.model.machine.memories import Memories

__all__ = ["RECORDS", "CoreMemories", "CoreRegisters", "activity"]

RECORDS = 1 << 17
"""Changes of what is at work that a bench has room for."""


class CoreMemories:
    """The SRAMs of a core, behind the hardware's back.

    Parameters
    ----------
    config : ChipConfig
    scope : str
        Of the core in the simulation.
    """

    def __init__(self, config: ChipConfig, scope: str):
        self._config = config
        self._scope = scope
        self._banks = {
            f"{subcore}.{name}": [
                backdoor(
                    f"{scope}.subcore_{subcore}.sram_{name}.bank_{bank}",
                    size.bank_words,
                    size.width,
                )[:, : size.width // 8]
                for bank in range(size.banks)
            ]
            for subcore in UNITS
            for name in SRAMS[subcore]
            for size in (config.srams[f"{subcore}.{name}"],)
        }

    def load(self, memories: Memories) -> None:
        """Makes the SRAMs hold what ``memories`` hold, and follows them with their maps of bits."""
        for name, banks in self._banks.items():
            for number, bank in enumerate(banks):
                bank[:] = memories.raw[name][number * len(bank) :][: len(bank)]
        self._load_nonzero(memories)

    def _load_nonzero(self, memories: Memories) -> None:
        config = self._config
        codes = memories.words("bp.du_next")
        magnitude = (1 << (config.format.width - 1)) - 1
        bits = (codes & magnitude != 0).any(axis=1).reshape(-1, config.array.spike_pixels)
        rows = backdoor(
            f"{self._scope}.subcore_bp.nonzero", max(2, len(bits)), config.array.spike_pixels
        )
        packed = np.packbits(bits, axis=1, bitorder="little")
        rows[: len(bits), : packed.shape[1]] = packed

    def read(self) -> Memories:
        """A copy of what the SRAMs hold."""
        found = Memories(self._config)
        for name, banks in self._banks.items():
            for number, bank in enumerate(banks):
                found.raw[name][number * len(bank) :][: len(bank)] = bank
        return found


class CoreRegisters:
    """The registers of a core, by name.

    Parameters
    ----------
    config : ChipConfig
    host : Host
    window : int
        Address of the first one.
    """

    def __init__(self, config: ChipConfig, host: Host, window: int = 0):
        self._host = host
        self._addresses = {each.name: window + each.address for each in REGISTERS}
        subcores = [SubCore(config=config, subcore=name) for name in UNITS]
        self._counters = {
            name: window + address
            for name, address in counter_addresses(counter_names(subcores)).items()
        }

    async def write(self, name: str, value: int) -> None:
        """Writes a register."""
        await self._host.write(self._addresses[name], value)

    async def read(self, name: str) -> int:
        """Reads one."""
        return await self._host.read(self._addresses[name])

    async def counters(self) -> dict[str, dict[str, int]]:
        """All counters, by unit."""
        found: dict[str, dict[str, int]] = {}
        for (unit, name), address in self._counters.items():
            low = await self._host.read(address)
            found.setdefault(unit, {})[name] = low | await self._host.read(address + 4) << 32
        return found

    async def outcome(self, subcore: str) -> Outcome:
        """What has become of the program of a sub-core."""
        status = await self._fields(f"{subcore}_status")
        fault = Fault(status["fault"])
        # Only what timed out has waited for something.
        waits = await self._fields(f"{subcore}_waits") if fault is Fault.TIMEOUT else None
        return Outcome(
            fault=fault,
            position=await self.read(f"{subcore}_position") // 4,
            overflow=bool(status["overflow"]),
            invalid=bool(status["invalid"]),
            tag=waits["tag"] if waits and waits["answer"] else None,
            boxes=waits["boxes"] if waits else 0,
        )

    async def _fields(self, name: str) -> dict[str, int]:
        word = await self.read(name)
        return {field.name: field.of(word) for field in BY_NAME[name].fields}


def activity(records: NDArray[np.uint64], count: int) -> dict[str, NDArray[np.int64]]:
    """When units of a core were at work: rows of first cycle and one after last.

    ``count`` of the words of a :class:`backspike.sim.harness.recorder.Recorder` are written.

    Raises
    ------
    RuntimeError
        If there were more changes than there is room for.
    """
    if count >= RECORDS:
        raise RuntimeError(f"a bench records {RECORDS} changes of what is at work, no more")
    words = records[:count]
    times = (words & np.uint64((1 << TIME_BITS) - 1)).astype(np.int64)
    # What is still at work at the end, since its program was stopped, has no more cycles.
    times = np.append(times, times.max(initial=-1) + 1)
    found = {}
    names = (f"{subcore}_{unit}" for subcore, units in UNITS.items() for unit in units)
    for number, name in enumerate(names):
        at_work = (words >> np.uint64(TIME_BITS + number)) & np.uint64(1)
        edges = np.diff(at_work.astype(np.int8), prepend=0, append=0)
        found[name] = np.stack([times[edges > 0], times[edges < 0]], axis=1)
    return found
