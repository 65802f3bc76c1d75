"""The instruction-level model of a chip: cores that are connected with each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backspike.hw.config import ChipConfig
from backspike.hw.noc.connection import Place
from backspike.sim.model.machine.core import Connections, CoreModel, Order, Outcome, run_together

__all__ = ["ChipModel"]


class ChipModel:
    """Cores, each with its SRAMs, and the DRAM that each of them sees.

    Nothing is known of the way that words take: they are where they go to when NOC_DATA is done.

    Parameters
    ----------
    config : ChipConfig
    drams : mapping of place to uint8 array
        As of :class:`CoreModel`, of every core that there is; cores may share one.
    connections : mapping of place to connections
    order : callable, optional
        As of :class:`CoreModel`.
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
            place: CoreModel(config, dram, connections=connections.get(place))
            for place, dram in drams.items()
        }
        self._order = order

    def run(
        self, programs: Mapping[Place, Mapping[str, int]], *, empty: bool = True
    ) -> dict[Place, dict[str, Outcome]]:
        """Runs programs, by place and sub-core, all at once; what becomes of each.

        Unless boxes are emptied first, messages and statuses that nobody took are still there.
        """
        return run_together(self.cores, programs, self._order, empty=empty)
