"""About how many cycles WG_CONV takes."""

from __future__ import annotations

from backspike.hw.isa.conv.cycles import products
from backspike.hw.isa.work import Work

__all__ = ["wg_cycles"]

READOUT = 31
"""Cycles beside those of the sums, and of reading out the last ones."""


def wg_cycles(work: Work) -> int:
    """Cycles of WG_CONV: of its sums or of reading them out, whichever are more."""
    array, values = work.config.array, work.values
    pairs = values["out_tiles"] * values["in_tiles"]
    taps = pairs * values["kernel_h"] * values["kernel_w"]
    summed = pairs * products(values, values["kernel_h"], values["kernel_w"])
    readout = array.lanes * array.lanes // array.dw_lanes
    return int(max(summed * work.density, taps * readout)) + taps + readout + READOUT
