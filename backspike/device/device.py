"""What a host can ask of a device, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from backspike.hw.core.connection import Place
from backspike.sim.model.machine.controller import Outcome
from backspike.sim.model.machine.core import Connections
from backspike.sim.model.machine.memories import Bytes

__all__ = ["Device", "SimulatedDevice", "Timing", "UnitCounters"]

UnitCounters = Mapping[Place, Mapping[str, Mapping[str, int]]]
"""Of each core, by unit (names like ``fp_soma``) and name."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long programs took."""

    cycles: int
    """From their start to the end of all."""
    seconds: float
    """Of the simulator for these cycles."""
    activity: Mapping[Place, Mapping[str, NDArray[np.int64]]]
    """When each unit of a core was at work: rows of first cycle and the one after the last."""


class Device(ABC):
    """A core, a chip or joined chips, and their DRAM; use it as a context, or open and close it.

    The programs of a step are loaded once. Each time, DRAM is written, they are started, waited
    for, and DRAM is read. Cores are told apart by their places; addresses in DRAM are in bytes,
    from the origin of each core on.
    """

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Begins to get ready, beside what the caller does."""

    @abstractmethod
    def ready(self) -> None:
        """Returns when it is ready; whoever does not care may go on without.

        Raises
        ------
        RuntimeError
            If it cannot get ready.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends it."""

    @abstractmethod
    def load(
        self,
        programs: Mapping[Place, Mapping[str, int]],
        connections: Mapping[Place, Connections],
    ) -> None:
        """What is to be started: addresses of programs in DRAM, by core and sub-core.

        Their words are to be in DRAM at the start (:meth:`write`); ``connections`` are given to
        the tables of the cores.
        """

    @abstractmethod
    def write(self, place: Place, address: int, data: Bytes | bytes) -> None:
        """Writes to the DRAM of a core."""

    @abstractmethod
    def read(self, place: Place, address: int, size: int) -> Bytes:
        """A copy of so many bytes from the DRAM of a core."""

    @abstractmethod
    def start(self) -> None:
        """Starts the programs that are loaded, all at once, with empty message boxes."""

    @abstractmethod
    def wait(self) -> Timing | None:
        """Returns when all have ended: how long they took, if the device can tell.

        Raises
        ------
        RuntimeError
            If the device breaks off.
        """

    @abstractmethod
    def status(self) -> Mapping[Place, Mapping[str, Outcome]]:
        """What has become of each of them, by core and sub-core."""

    @abstractmethod
    def counters(self) -> UnitCounters:
        """What the units have counted meanwhile; nothing if the device does not count."""


class SimulatedDevice(Device):
    """A device whose DRAM is an array: it is as large as what was written to it."""

    def __init__(self) -> None:
        self._drams: dict[Place, Bytes] = {}
        self._programs: Mapping[Place, Mapping[str, int]] = {}
        self._connections: Mapping[Place, Connections] = {}

    def load(
        self,
        programs: Mapping[Place, Mapping[str, int]],
        connections: Mapping[Place, Connections],
    ) -> None:
        self._programs, self._connections = programs, connections

    def write(self, place: Place, address: int, data: Bytes | bytes) -> None:
        dram, end = self._drams.get(place, np.zeros(0, np.uint8)), address + len(data)
        if end > len(dram):
            dram = np.pad(dram, (0, end - len(dram)))
        dram[address:end] = np.frombuffer(data, np.uint8)
        self._drams[place] = dram

    def read(self, place: Place, address: int, size: int) -> Bytes:
        return self._drams[place][address : address + size].copy()
