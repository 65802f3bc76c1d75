"""The instruction-level model of cores that are connected with each other, or of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from backspike.hw.config import ChipConfig
from backspike.hw.core.connection import Place
from backspike.hw.isa.table import UNITS
from backspike.sim.model.machine.core import Connections, CoreModel, Outcome

__all__ = ["ChipModel", "Order"]

Order = Callable[[list], None]


class ChipModel:
    """Cores, each with its SRAMs, and the DRAM that each of them sees.

    Nothing is known of the way that words take: they are where they go to when NOC_DATA is done.

    Parameters
    ----------
    config : ChipConfig
    drams : mapping of place to uint8 array
        As of :class:`CoreModel`, of every core that there is; cores may share one.
    connections : mapping of place to connections, optional
    order : callable, optional
        Puts the units that could go on into another order, e.g. the ``shuffle`` of a random
        generator: a program whose outcome depends on it has a race.

    Attributes
    ----------
    cores : mapping of place to CoreModel
    """

    def __init__(
        self,
        config: ChipConfig,
        drams: Mapping[Place, NDArray[np.uint8]],
        *,
        connections: Mapping[Place, Connections] | None = None,
        order: Order | None = None,
    ):
        connections = connections or {}
        self.cores = {
            place: CoreModel(config, dram, connections.get(place, {}))
            for place, dram in drams.items()
        }
        self._order = order

    def run(
        self, programs: Mapping[Place, Mapping[str, int]], *, empty: bool = True
    ) -> dict[Place, dict[str, Outcome]]:
        """Runs programs that lie at these addresses in DRAM, by place and sub-core, all at once.

        Unless boxes are emptied first, messages and statuses that nobody took are still there.
        Returns what has become of each.
        """
        for place, core in self.cores.items():
            core.begin(programs.get(place, {}), empty=empty)
        running = [
            (core, subcore)
            for core in self.cores.values()
            for subcore in core.subcores.values()
            if subcore.running
        ]
        while running:
            work = [
                (core, subcore, unit)
                for core, subcore in running
                for unit in (None, *UNITS[subcore.name])
            ]
            if self._order:
                self._order(work)
            moved = False
            for core, subcore, unit in work:
                if not subcore.running:
                    continue
                if unit is None:
                    moved |= subcore.issue()
                else:
                    moved |= core.execute(subcore, unit, self.cores)
            if not moved:
                for core, subcore in running:
                    if subcore.running:
                        subcore.time_out(core.waiting_tags(subcore))
            running = [(core, subcore) for core, subcore in running if subcore.running]
        return {
            place: {name: self.cores[place].subcores[name].outcome for name in subcores}
            for place, subcores in programs.items()
        }
