"""The instructions: the one table that hardware, assembler, model and documents are made from.

All sizes are in tiles of ``lanes`` channels, pixels, rows, or words of the SRAM in question; an
address counts words. Strides go from one item to the next and may be negative. The row of an
instruction stands beside the command that it becomes, and is gathered here with its opcode.
"""

from __future__ import annotations

import functools

from backspike.hw.isa.control import Wait, barrier, loop
from backspike.hw.isa.conv.instructions import bp_conv, fp_conv
from backspike.hw.isa.dma.instructions import dma_rd, dma_wr
from backspike.hw.isa.instruction import Instruction
from backspike.hw.isa.neuron.instructions import bp_bn, bp_grad, fp_bn, fp_soma, wu
from backspike.hw.isa.neuron.vector_instructions import bp_vector, fp_vector
from backspike.hw.isa.noc.instructions import Control, noc_ctrl, noc_data
from backspike.hw.isa.operands import IsaShape
from backspike.hw.isa.wg.instructions import wg_conv

__all__ = [
    "BOXES",
    "BOX_MESSAGES",
    "INNER_ROUTES",
    "LOOP_LEVELS",
    "LOOP_STEPS",
    "OWN_ROUTES",
    "REGISTERS",
    "ROUTES",
    "SRAMS",
    "UNITS",
    "WORD_MAX",
    "Control",
    "IsaShape",
    "Wait",
    "instruction_set",
]

REGISTERS = 16
"""Address registers of a sub-core, which LOOP steps; number 0 is always 0."""
WORD_MAX = (1 << 32) - 1
"""Largest number in a word of a program, and in an address register."""
LOOP_LEVELS = 4
"""Loops that may be inside each other."""
LOOP_STEPS = 6
"""Address registers that a loop may step."""
BOXES = 8
"""Message boxes of a sub-core."""
BOX_MESSAGES = 15
"""Messages that a box holds; who sends to a full one waits."""

UNITS = {
    "fp": ("fp", "soma", "read", "write", "noc"),
    "bp": ("bp", "wg", "grad", "wu", "read", "write", "noc"),
}
"""What works side by side in each sub-core; a unit's number is its place here."""
SRAMS = {
    "fp": ("s_in", "w", "conv_fp", "u", "s_out", "spike", "other"),
    "bp": ("du_next", "w", "conv_bp", "du", "u", "s", "dw", "other"),
}
"""SRAMs of each sub-core; the number of one is its place here."""
ROUTES = {
    "fp": (
        ("s_out", "fp.s_in"),
        ("s_out", "bp.s"),
        ("spike", "bp.s"),
        ("u", "bp.u"),
        ("conv_fp", "fp.conv_fp"),
    ),
    "bp": (("du", "bp.du_next"), ("w", "fp.w"), ("conv_bp", "bp.conv_bp")),
}
"""NOC_DATA: an SRAM of the own sub-core, and where to, by ``data_type``."""
INNER_ROUTES = {"fp": 4, "bp": 2}
"""The first so many of them are also there inside of the core: all but those of psums."""
OWN_ROUTES = {"fp": (1, 1, 2, 3), "bp": ()}
"""What a MULTICAST does besides: the inner route of each, by ``data_type``."""


@functools.cache
def instruction_set(shape: IsaShape, subcore: str) -> dict[str, Instruction]:
    """The instructions of a sub-core, ``fp`` or ``bp``, by mnemonic."""
    own = {
        "fp": lambda: (
            fp_conv(0x01, shape),
            fp_soma(0x04, shape),
            fp_vector(0x06, shape),
            fp_bn(0x0D),
        ),
        "bp": lambda: (
            bp_conv(0x02, shape),
            wg_conv(0x03, shape),
            bp_grad(0x05, shape),
            bp_vector(0x07, shape),
            wu(0x08, shape),
            bp_bn(0x0E),
        ),
    }
    common = (
        dma_rd(0x09, shape, subcore, SRAMS[subcore]),
        dma_wr(0x0A, shape, subcore, SRAMS[subcore]),
        noc_data(
            0x0B,
            shape,
            subcore,
            ROUTES[subcore],
            inner=INNER_ROUTES[subcore],
            own=OWN_ROUTES[subcore],
        ),
        noc_ctrl(0x0C, BOXES),
        barrier(0x0F, UNITS[subcore], BOXES),
        loop(0x10, REGISTERS, LOOP_STEPS),
    )
    return {each.mnemonic: each for each in (*own[subcore](), *common)}
