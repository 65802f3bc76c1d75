"""The command of the copy engine: NOC_DATA inside a core."""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data

from hw.memory.loops import COUNT_BITS
from hw.memory.port import ADDRESS_BITS

__all__ = ["CopyCommand"]


class CopyCommand(data.Struct):
    """A copy of ``rows`` rows of ``words`` words from one SRAM to another with words as wide."""

    route: 3  # number of the pair of SRAMs among those of the engine
    source: ADDRESS_BITS  # first word there
    destination: ADDRESS_BITS  # first word here
    words: ADDRESS_BITS + 1  # words of a row
    rows: COUNT_BITS
    source_row: ADDRESS_BITS  # words from one row to the next, modulo 2**16
    destination_row: ADDRESS_BITS
