"""The Verilog as a device: Verilated, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping

from backspike.device.device import SimulatedDevice, Timing, UnitCounters
from backspike.hw.core.connection import Place
from backspike.sim.harness.mesh import MeshBench
from backspike.sim.harness.session import Request, Run, Session
from backspike.sim.model.machine.controller import Outcome

__all__ = ["RtlDevice"]


class RtlDevice(SimulatedDevice):
    """A bench, which is built and started when the device is opened, and reset at every start.

    Parameters
    ----------
    bench : MeshBench
        A core alone, or chips.
    """

    def __init__(self, bench: MeshBench):
        super().__init__()
        self._bench = bench
        self._session: Session | None = None
        self._run: Run | None = None

    def open(self) -> None:
        self._session = Session(self._bench)

    def ready(self) -> None:
        self._opened.ready()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def start(self) -> None:
        drams = {place: self._drams[place] for place in self._programs}
        self._opened.start(
            Request(drams=drams, programs=self._programs, connections=self._connections)
        )

    def wait(self) -> Timing:
        run = self._run = self._opened.result()
        self._drams |= run.drams
        return Timing(cycles=run.cycles, seconds=run.seconds, activity=run.activity)

    def status(self) -> Mapping[Place, Mapping[str, Outcome]]:
        return self._run.outcomes if self._run else {}

    def counters(self) -> UnitCounters:
        return self._run.counters if self._run else {}

    @property
    def _opened(self) -> Session:
        if self._session is None:
            raise RuntimeError("a device must be open before programs run on it")
        return self._session
