"""A Verilated core in a process of its own, which runs programs for whoever asks."""

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
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hw.config import ChipConfig
from sim.harness.core import CoreBench
from sim.harness.cosim import run
from sim.model.machine.controller import Outcome

__all__ = ["LEAST_DRAM", "SOCKET", "CoreRequest", "CoreRun", "CoreSession"]

SOCKET = "CORE_SESSION"
"""Variable of the environment by which the testbench knows whom to ask for work."""
POLL_SECONDS = 0.2
LEAST_DRAM = 1 << 21
"""Bytes: one build serves all that needs less."""


@dataclass(frozen=True, kw_only=True)
class CoreRequest:
    """What to run: the DRAM before, and where in it the programs of the sub-cores are."""

    dram: NDArray[np.uint8]
    programs: Mapping[str, int]
    timeout: int = 1 << 20
    latency: int = 40
    """Cycles of the DRAM to the first beat."""
    stall: int = 0
    """How often, of 256 times, a channel of the DRAM waits."""


@dataclass(frozen=True, kw_only=True)
class CoreRun:
    """What has become of it."""

    dram: NDArray[np.uint8]
    outcomes: dict[str, Outcome]
    """By sub-core."""
    cycles: int
    """From the start of the programs to the end of both."""
    seconds: float
    """Of the simulator for these cycles."""
    counters: dict[str, dict[str, int]]
    """Those of each unit, by names like ``fp_soma``."""
    activity: dict[str, NDArray[np.int64]]
    """When each unit was at work: rows of first cycle and the one after the last."""


class CoreSession:
    """Builds a core, if need be, and keeps it running; use it as a context, or close it.

    The core is built and started beside what the caller does until its first :meth:`run`.

    Parameters
    ----------
    config : ChipConfig
    dram_bytes : int
        Bytes of DRAM that programs need.
    """

    def __init__(self, config: ChipConfig, *, dram_bytes: int):
        self._folder = tempfile.TemporaryDirectory()
        path = str(Path(self._folder.name) / "socket")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen(1)
        # A power of two, as a Dram asks for.
        size = max(LEAST_DRAM, 1 << (dram_bytes - 1).bit_length())
        self._setting = {"config": config, "dram_bytes": size}
        # In a process of its own, since a simulation is told what to do by its environment.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sim.harness.session", path], stdin=subprocess.PIPE
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
        """Returns when the core is built and running.

        Raises
        ------
        RuntimeError
            If it cannot be built.
        """
        if self._connection is not None:
            return
        while not select.select([self._server], [], [], POLL_SECONDS)[0]:
            if self._process.poll() is not None:
                raise RuntimeError("the core could not be built or started")
        self._connection = Connection(self._server.accept()[0].detach())
        self._connection.send(self._setting)

    def run(self, request: CoreRequest) -> CoreRun:
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
            found = self._connection.recv()
        except (EOFError, ConnectionError):
            raise RuntimeError("the simulation of the core broke off") from None
        assert isinstance(found, CoreRun)
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


if __name__ == "__main__":
    run(
        CoreBench(**pickle.load(sys.stdin.buffer)),
        "sim.harness.cocotb_session",
        environment={SOCKET: sys.argv[1]},
    )
