"""WG_CONV: the weight gradients of a convolution, for the engine of :mod:`.command`."""

from __future__ import annotations

from backspike.hw.arith.format import FP_TERMS_BITS
from backspike.hw.isa.conv.instructions import reached_columns
from backspike.hw.isa.instruction import (
    ONE,
    Access,
    AtMost,
    Fault,
    Instruction,
    MultiplyAdd,
    Operand,
)
from backspike.hw.isa.operands import (
    ADDRESS_MAX,
    IsaShape,
    count,
    flag,
    map_operands,
    names,
    same,
    tap,
)
from backspike.hw.limits import PLANE_MAX

__all__ = ["wg_conv"]


def wg_conv(opcode: int, shape: IsaShape) -> Instruction:
    terms = 1 << FP_TERMS_BITS
    operands = (
        count("out_tiles", "tiles of output channels m"),
        count("in_tiles", "tiles of input channels c"),
        Operand("last_m", 1, shape.lanes, "output channels in the last tile; dw of others is +0"),
        Operand("last_c", 1, shape.lanes, "input channels in the last tile; dw of others is +0"),
        tap("kernel_h", "kernel rows", 1),
        tap("kernel_w", "kernel columns", 1),
        count("samples", "samples"),
        count("steps", "time steps"),
        count("in_h", "rows of the spike map"),
        count("in_w", "columns of the spike map"),
        count("out_h", "rows of the du map"),
        count("out_w", "columns of the du map"),
        tap("stride", "spike pixels from one du pixel to the next, both ways", 1),
        tap("pad_top", "rows of padding above the spike map"),
        tap("pad_left", "columns of padding left of it"),
        *map_operands("spike", "the spike map", ("tile", "sample", "step", "row")),
        *map_operands("du", "the du map", ("tile", "sample", "step", "row")),
        Operand("dw_base", 0, ADDRESS_MAX, "first word of dw, which is stored like weights"),
        Operand("plane", 0, PLANE_MAX, "b: the sum counts 2**-b"),
        flag("dw_acc", "add to the dw that is there"),
        flag("skip", "leave out vectors of silent spikes: changes cycles, no bit"),
    )
    return Instruction(
        "WG_CONV",
        opcode,
        "wg",
        "Makes the weight gradients of a convolution, or of a strip of its rows.",
        operands,
        (
            AtMost("samples", terms, Fault.TERMS, times="steps"),
            MultiplyAdd("terms", "samples", "steps"),
            AtMost("terms", terms, Fault.TERMS, times="out_h"),
            MultiplyAdd("terms", "terms", "out_h"),
            AtMost("terms", terms, Fault.TERMS, times="out_w"),
            MultiplyAdd("taps", "kernel_h", "kernel_w"),
            AtMost("out_tiles", ADDRESS_MAX + 1, Fault.ADDRESS, times="in_tiles"),
            MultiplyAdd("tiles", "out_tiles", "in_tiles"),
            AtMost("tiles", (ADDRESS_MAX + 1) // shape.lanes, Fault.ADDRESS, times="taps"),
            MultiplyAdd("tiles", "tiles", "taps"),
            MultiplyAdd("dw_words", "tiles", shape.lanes),
            MultiplyAdd("spike_out_row", "stride", "spike_row"),
            MultiplyAdd("spike_origin", "pad_top", "spike_row", plus="spike_base", minus=True),
            MultiplyAdd("last_x", "out_w", "stride", less=1),
            *reached_columns(shape, out="out_w", taps="kernel_w", words="row_words"),
            Access(
                "bp.s",
                shape.size("bp.s"),
                "spike_base",
                (
                    ("in_tiles", "spike_tile"),
                    ("samples", "spike_sample"),
                    ("steps", "spike_step"),
                    ("in_h", "spike_row"),
                    ("row_words", ONE),
                ),
            ),
            Access(
                "bp.du_next",
                shape.size("bp.du_next"),
                "du_base",
                (
                    ("out_tiles", "du_tile"),
                    ("samples", "du_sample"),
                    ("steps", "du_step"),
                    ("out_h", "du_row"),
                    ("out_w", ONE),
                ),
            ),
            Access("bp.dw", shape.size("bp.dw"), "dw_base", (("dw_words", ONE),), writes=True),
        ),
        same(
            *(name for name in names(operands) if name != "out_w"),
            "last_x",
            "row_words",
            "spike_out_row",
            "dw_words",
            spike_base="spike_origin",
        ),
    )
