"""The instruction-level model as a device: it has the bits of the hardware, and no cycles."""

from __future__ import annotations

from collections.abc import Mapping

from backspike.device.device import SimulatedDevice, UnitCounters
from backspike.hw.config import ChipConfig
from backspike.hw.core.connection import Place
from backspike.sim.model.machine.chip import ChipModel
from backspike.sim.model.machine.controller import Outcome

__all__ = ["ModelDevice"]


class ModelDevice(SimulatedDevice):
    """Cores of :class:`backspike.sim.model.machine.chip.ChipModel`, as many as have programs.

    Parameters
    ----------
    config : ChipConfig
    """

    def __init__(self, config: ChipConfig):
        super().__init__()
        self._config = config
        self._outcomes: dict[Place, dict[str, Outcome]] = {}

    def open(self) -> None:
        pass

    def ready(self) -> None:
        pass

    def close(self) -> None:
        pass

    def start(self) -> None:
        drams = {place: self._drams[place] for place in self._programs}
        chip = ChipModel(self._config, drams, connections=self._connections)
        self._outcomes = chip.run(self._programs)

    def wait(self) -> None:
        pass

    def status(self) -> Mapping[Place, Mapping[str, Outcome]]:
        return self._outcomes

    def counters(self) -> UnitCounters:
        return {}
