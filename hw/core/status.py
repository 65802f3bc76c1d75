"""What a sub-core tells the host."""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data

from backspike.hw.control.alu import FAULT_BITS
from backspike.hw.control.controller import Progress
from backspike.hw.control.fetch import POSITION_BITS
from backspike.hw.isa.noc.instructions import TAG_BITS
from backspike.hw.isa.table import BOXES

__all__ = ["SubCoreStatus", "WaitStatus"]


class WaitStatus(data.Struct):
    """What a sub-core waits for, or waited for when it stopped."""

    tag_id: TAG_BITS
    answer: 1  # something over this connection is not replied to
    boxes: BOXES  # message boxes that instructions wait for


class SubCoreStatus(data.Struct):
    """State of a sub-core's program, and its sticky statuses."""

    progress: Progress
    fault: FAULT_BITS
    position: POSITION_BITS
    overflow: 1
    invalid: 1
    waits: WaitStatus
