"""What a sub-core tells the host."""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data

from hw.control.alu import FAULT_BITS
from hw.control.controller import Progress
from hw.control.fetch import POSITION_BITS

__all__ = ["SubCoreStatus"]


class SubCoreStatus(data.Struct):
    """State of a sub-core's program, and its sticky statuses."""

    progress: Progress
    fault: FAULT_BITS
    position: POSITION_BITS
    overflow: 1
    invalid: 1
