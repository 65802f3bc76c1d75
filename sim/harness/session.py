"""Verilated cores in a process of its own, which run programs for whoever asks."""

from __future__ import annotations

import pickle
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from backspike.hw.core.connection import Place
from backspike.sim.harness.cosim import run
from backspike.sim.harness.mesh import MeshBench
from backspike.sim.harness.tools import ToolError
from backspike.sim.model.machine.controller import Outcome
from backspike.sim.model.machine.core import Connections

__all__ = ["SOCKET", "Request", "Run", "Session"]

SOCKET = "BACKSPIKE_SESSION"
"""Variable of the environment by which the testbench knows whom to ask for work."""
POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run, by the place of each core, and under what conditions.

    What is said of networks and of links between chips does not matter to a core alone.
    """

    drams: Mapping[Place, NDArray[np.uint8]]
    """DRAM before, from each core's origin on."""
    programs: Mapping[Place, Mapping[str, int]]
    """Where in it the programs of the sub-cores are."""
    connections: Mapping[Place, Connections] = field(default_factory=dict)
    timeout: int = 1 << 20
    latency: int = 40
    """Cycles of the DRAM to the first beat."""
    spread: int = 0
    """Added to them at random, for each burst: any number whose bits are in it."""
    stall: int = 0
    """How often, of 256 times, a channel of the DRAM waits."""
    delay: int = 8
    """Cycles of a link between chips."""
    delay_stall: int = 0
    """How often, of 256 times, it waits."""
    seed: int = 1
    """Of all that is random."""
    noc_period_ps: int = 1500
    """Of the networks' clock: that of the cores takes 2000."""
    interrupted: int = 0
    """Cycles after which all is reset and begun again; never if 0."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What has become of it, by the place of each core."""

    drams: dict[Place, NDArray[np.uint8]]
    outcomes: dict[Place, dict[str, Outcome]]
    """By sub-core."""
    counters: dict[Place, dict[str, dict[str, int]]]
    """Those of each unit, by names like ``fp_soma``."""
    activity: dict[Place, dict[str, NDArray[np.int64]]]
    """When each unit was at work: rows of first cycle and the one after the last."""
    cycles: int
    """From the start of the programs to the end of all."""
    seconds: float
    """Of the simulator for these cycles."""


class Session:
    """Builds a bench, if need be, and keeps it running; use it as a context, or close it.

    It is built and started beside what the caller does until its first :meth:`start`.

    Parameters
    ----------
    bench : MeshBench
    """

    def __init__(self, bench: MeshBench):
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

    def __exit__(self, *error: object) -> None:
        self.close()

    def ready(self) -> None:
        """Returns when the bench is built and running.

        Raises
        ------
        ToolError
            If it cannot be built; why is said on standard error.
        """
        if self._connection is not None:
            return
        while not select.select([self._server], [], [], POLL_SECONDS)[0]:
            if self._process.poll() is not None:
                raise ToolError("the simulation could not be built or started")
        self._connection = Connection(self._server.accept()[0].detach())
        self._connection.send(self._setting)

    def run(self, request: Request) -> Run:
        """Runs programs to their ends, from reset.

        Raises
        ------
        ToolError
            If the simulation breaks off.
        """
        self.start(request)
        return self.result()

    def start(self, request: Request) -> None:
        """Begins to run programs; raises as :meth:`run`."""
        self.ready()
        assert self._connection is not None
        try:
            self._connection.send(request)
        except ConnectionError:
            raise ToolError("the simulation broke off") from None

    def result(self) -> Run:
        """What has become of those that were started, when all have ended; as :meth:`run`."""
        assert self._connection is not None
        try:
            found: Run = self._connection.recv()
        except (EOFError, ConnectionError):
            raise ToolError("the simulation broke off") from None
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
    bench_class, setting = pickle.load(sys.stdin.buffer)
    try:
        run(
            bench_class(**setting),
            "backspike.sim.harness.cocotb_session",
            environment={SOCKET: sys.argv[1]},
        )
    except ToolError as error:
        sys.exit(str(error))
