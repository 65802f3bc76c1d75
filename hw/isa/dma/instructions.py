"""DMA_RD and DMA_WR: rows of words between an SRAM and DRAM, as in :mod:`.command`."""

from __future__ import annotations

from backspike.hw.isa.instruction import ONE, Access, Aligned, Instruction, Operand
from backspike.hw.isa.operands import (
    ADDRESS_MAX,
    IsaShape,
    code,
    count,
    names,
    numbered,
    same,
    stride,
)

__all__ = ["dma_rd", "dma_wr"]


def dma_rd(opcode: int, shape: IsaShape, subcore: str, srams: tuple[str, ...]) -> Instruction:
    what = "Copies rows of words from DRAM to an SRAM."
    return _dma("DMA_RD", opcode, "read", what, shape, subcore, srams)


def dma_wr(opcode: int, shape: IsaShape, subcore: str, srams: tuple[str, ...]) -> Instruction:
    what = "Copies rows of words from an SRAM to DRAM."
    return _dma("DMA_WR", opcode, "write", what, shape, subcore, srams)


def _dma(
    mnemonic: str,
    opcode: int,
    unit: str,
    what: str,
    shape: IsaShape,
    subcore: str,
    srams: tuple[str, ...],
) -> Instruction:
    operands = (
        Operand("sram", 0, len(srams) - 1, numbered(srams)),
        Operand("base", 0, ADDRESS_MAX, "first word in the SRAM"),
        Operand("words", 1, ADDRESS_MAX + 1, "words of a row"),
        count("rows", "rows"),
        stride("sram_row", "words from one row to the next in the SRAM"),
        code("dram", "address in bytes of the first row in DRAM", 32),
        Operand("dram_row", -(1 << 31), (1 << 31) - 1, "bytes from one row to the next in DRAM"),
    )
    return Instruction(
        mnemonic,
        opcode,
        unit,
        what,
        operands,
        (
            Aligned("dram", shape.bus_bytes),
            Aligned("dram_row", shape.bus_bytes, when="rows"),
            *(
                Access(
                    f"{subcore}.{sram}",
                    shape.size(f"{subcore}.{sram}"),
                    "base",
                    (("rows", "sram_row"), ("words", ONE)),
                    when=(("sram", number),),
                    writes=unit == "read",
                )
                for number, sram in enumerate(srams)
            ),
        ),
        same(*names(operands)),
    )
