"""The command of the DMA engines: rows of words between an SRAM and DRAM."""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data

from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS

__all__ = ["DmaCommand"]


class DmaCommand(data.Struct):
    """A copy of ``rows`` rows of ``words`` SRAM words, which lie packed in DRAM.

    A row begins at a multiple of the bus width in DRAM, and ends where it ends: the rest of its
    last beat is ignored when read, and left as it is when written.
    """

    sram: 4  # number of the SRAM among those of the engine
    base: ADDRESS_BITS  # first word in the SRAM
    words: ADDRESS_BITS + 1  # words of a row
    rows: COUNT_BITS
    sram_row: ADDRESS_BITS  # words from one row to the next in the SRAM, modulo 2**16
    dram: 32  # bytes from the origin to the first row in DRAM
    dram_row: 32  # bytes from one row to the next in DRAM, modulo 2**32
