"""A Verilated core or chip in a process of its own, which runs programs for whoever asks."""

from __future__ import annotations

import pickle
import select
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from backspike.hw.config import ChipConfig
from backspike.hw.noc.connection import Place
from backspike.sim.harness.chip import ChipBench
from backspike.sim.harness.core import CoreBench
from backspike.sim.harness.cosim import run
from backspike.sim.model.machine.controller import Outcome
from backspike.sim.model.machine.core import Connections

__all__ = [
    "LEAST_DRAM",
    "SOCKET",
    "ChipRequest",
    "ChipRun",
    "ChipSession",
    "CoreRequest",
    "CoreRun",
    "CoreSession",
    "Session",
]

SOCKET = "CORE_SESSION"
"""Variable of the environment by which the testbench knows whom to ask for work."""
POLL_SECONDS = 0.2
LEAST_DRAM = 1 << 21
"""Bytes: one build serves all that needs less."""


@dataclass(frozen=True, kw_only=True)
class _Conditions:
    """Under what a run takes place."""

    timeout: int = 1 << 20
    latency: int = 40
    """Cycles of the DRAM to the first beat."""
    spread: int = 0
    """Added to them at random, for each burst: any number whose bits are in it."""
    stall: int = 0
    """How often, of 256 times, a channel of the DRAM waits."""
    seed: int = 1
    """Of all that is random."""


@dataclass(frozen=True, kw_only=True)
class CoreRequest(_Conditions):
    """What to run: the DRAM before, and where in it the programs of the sub-cores are."""

    dram: NDArray[np.uint8]
    programs: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class _Times:
    """How long a run took."""

    cycles: int
    """From the start of the programs to the end of all."""
    seconds: float
    """Of the simulator for these cycles."""


@dataclass(frozen=True, kw_only=True)
class CoreRun(_Times):
    """What has become of it."""

    dram: NDArray[np.uint8]
    outcomes: dict[str, Outcome]
    """By sub-core."""
    counters: dict[str, dict[str, int]]
    """Those of each unit, by names like ``fp_soma``."""
    activity: dict[str, NDArray[np.int64]]
    """When each unit was at work: rows of first cycle and the one after the last."""


@dataclass(frozen=True, kw_only=True)
class ChipRequest(_Conditions):
    """What to run: the same for every core, by its place."""

    drams: Mapping[Place, NDArray[np.uint8]]
    """From each core's origin on."""
    programs: Mapping[Place, Mapping[str, int]]
    connections: Mapping[Place, Connections]
    delay: int = 8
    """Cycles of a link between chips."""
    delay_stall: int = 0
    """How often, of 256 times, it waits."""
    noc_period_ps: int = 1500
    """Of the networks' clock: that of the cores takes 2000."""
    interrupted: int = 0
    """Cycles after which all is reset and begun again; never if 0."""


@dataclass(frozen=True, kw_only=True)
class ChipRun(_Times):
    """What has become of it: as of :class:`CoreRun`, by the place of each core."""

    drams: dict[Place, NDArray[np.uint8]]
    outcomes: dict[Place, dict[str, Outcome]]
    counters: dict[Place, dict[str, dict[str, int]]]
    activity: dict[Place, dict[str, NDArray[np.int64]]]


Request = TypeVar("Request")
Run = TypeVar("Run")


class Session(Generic[Request, Run]):
    """Builds a bench, if need be, and keeps it running; use it as a context, or close it.

    It is built and started beside what the caller does until its first :meth:`run`.

    Parameters
    ----------
    bench : CoreBench or ChipBench
    """

    def __init__(self, bench: CoreBench | ChipBench):
        self._folder = tempfile.TemporaryDirectory()
        path = str(Path(self._folder.name) / "socket")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen(1)
        self._setting = type(bench), bench.setting
        # In a process of its own, since a simulation is told what to do by its environment.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "backspike.sim.harness.session", path], stdin=subprocess.PIPE
        )
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pickle.dump(self._setting, pipe)
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def wait(self) -> None:
        """Returns when the bench is built and running.

        Raises
        ------
        RuntimeError
            If it cannot be built.
        """
        if self._connection is not None:
            return
        while not select.select([self._server], [], [], POLL_SECONDS)[0]:
            if self._process.poll() is not None:
                raise RuntimeError("the simulation could not be built or started")
        self._connection = Connection(self._server.accept()[0].detach())
        self._connection.send(self._setting)

    def run(self, request: Request) -> Run:
        """Runs programs to their ends, from reset.

        Raises
        ------
        RuntimeError
            If the simulation breaks off.
        """
        self.wait()
        assert self._connection is not None
        try:
            self._connection.send(request)
            found: Run = self._connection.recv()
        except (EOFError, ConnectionError):
            raise RuntimeError("the simulation broke off") from None
        return found

    def close(self) -> None:
        """Ends the simulation; one that was not waited for is broken off."""
        if self._connection is not None:
            self._connection.close()
        else:
            self._process.terminate()
        self._process.wait()
        self._server.close()
        self._folder.cleanup()


def _dram_bytes(least: int) -> int:
    """A power of two, as a Dram asks for."""
    return max(LEAST_DRAM, 1 << (least - 1).bit_length())


class CoreSession(Session[CoreRequest, CoreRun]):
    """A core by itself.

    Parameters
    ----------
    config : ChipConfig
    dram_bytes : int
        Bytes of DRAM that programs need.
    """

    def __init__(self, config: ChipConfig, *, dram_bytes: int):
        super().__init__(CoreBench(config, dram_bytes=_dram_bytes(dram_bytes)))


class ChipSession(Session[ChipRequest, ChipRun]):
    """A chip, or several that are joined.

    Parameters
    ----------
    config : ChipConfig
    dram_bytes : int
        Bytes of DRAM that programs of a core need.
    chips : (int, int)
        As of :class:`backspike.sim.harness.chip.ChipBench`.
    """

    def __init__(self, config: ChipConfig, *, dram_bytes: int, chips: tuple[int, int] = (1, 1)):
        cores = config.mesh.cores if config.dram.shared else 1
        dram_bytes = _dram_bytes(cores * _dram_bytes(dram_bytes))
        super().__init__(ChipBench(config, dram_bytes=dram_bytes, chips=chips))


if __name__ == "__main__":
    bench_class, setting = pickle.load(sys.stdin.buffer)
    run(
        bench_class(**setting),
        "backspike.sim.harness.cocotb_session",
        environment={SOCKET: sys.argv[1]},
    )
