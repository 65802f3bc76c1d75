"""The command of the copy engine: NOC_DATA."""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data

from backspike.hw.isa.noc.instructions import TAG_BITS, Flow
from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS

__all__ = ["CopyCommand"]


class CopyCommand(data.Struct):
    """A copy of ``rows`` rows of ``words`` words from one SRAM to others with words as wide."""

    flow: range(len(Flow))
    route: 3  # number of the pair of SRAMs among those of the engine
    tag_id: TAG_BITS  # connection
    source: ADDRESS_BITS  # first word here
    destination: ADDRESS_BITS  # first word there
    words: ADDRESS_BITS + 1  # words of a row
    rows: COUNT_BITS
    source_row: ADDRESS_BITS  # words from one row to the next, modulo 2**16
    destination_row: ADDRESS_BITS
    own: ADDRESS_BITS  # first word in the own core, of a MULTICAST
    own_row: ADDRESS_BITS
