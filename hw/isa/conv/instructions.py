"""FP_CONV and BP_CONV: passes of a convolution, for the engines of :mod:`.command`."""

from __future__ import annotations

from backspike.hw.arith.format import BP_TERMS_BITS, FP_TERMS_BITS
from backspike.hw.isa.conv.command import TILE_BITS
from backspike.hw.isa.instruction import (
    ONE,
    Access,
    AtMost,
    CeilDivide,
    Clamp,
    Fault,
    Instruction,
    MultiplyAdd,
    Operand,
    Step,
)
from backspike.hw.isa.operands import (
    COUNT_MAX,
    IsaShape,
    count,
    flag,
    map_operands,
    names,
    same,
    tap,
)
from backspike.hw.limits import PLANE_MAX, TAP_MAX

__all__ = ["bp_conv", "fp_conv", "reached_columns"]

TILES_MAX = (1 << TILE_BITS) - 1

_OPERANDS = (
    count("out_tiles", "output tiles"),
    count("in_groups", "groups of input tiles that the ring of weights holds at a time"),
    Operand("group_tiles", 1, TILES_MAX, "input tiles in a group"),
    Operand("last_tiles", 1, TILES_MAX, "input tiles in the last group"),
    tap("row_groups", "groups of kernel rows", 1),
    tap("group_rows", "kernel rows in a group", 1),
    tap("last_rows", "kernel rows in the last group", 1),
    tap("kernel_w", "kernel columns", 1),
    count("samples", "samples"),
    count("steps", "time steps"),
    count("in_h", "rows of the input map; 0 where nothing is reached", 0),
    count("in_w", "columns of the input map"),
    count("out_h", "rows of outputs"),
    count("out_w", "columns of outputs"),
    tap("stride", "input pixels from one output to the next, both ways", 1),
    tap("pad_top", "rows of padding above the input map"),
    tap("pad_left", "columns of padding left of it"),
    *map_operands("in", "the input map", ("tile", "row", "sample", "step")),
    *map_operands("w", "the weights", ("out_tile", "tile", "row", "col")),
    *map_operands("out", "the psums", ("tile", "sample", "step", "row", "col")),
    flag("psum_acc", "add to the psums that are there"),
    flag("skip", "leave out what takes no part: changes cycles, no bit"),
)
_REGISTERS = same(
    *names(_OPERANDS),
    "row_segments",
    "in_group",
    "in_row_group",
    "in_out_row",
    "w_group",
    "w_row_group",
    in_base="in_origin",
)
_FIRE = (
    *map_operands("fire", "the fire map of the outputs", ("tile", "sample", "step", "row")),
    count("fire_x", "pixel of the fire map that is the first output's", 0),
    tap("fire_col", "pixels of the fire map from one output to the next"),
    flag("mask", "lanes without fire take no part"),
)


def reached_columns(shape: IsaShape, *, out: str, taps: str, words: str) -> tuple[Step, ...]:
    """``words`` of each row of the input that the windows of ``out`` columns reach."""
    return (
        MultiplyAdd("reach", ONE, "pad_left", plus=taps, minus=True),
        MultiplyAdd("reach", out, "stride", plus="reach", less=1),
        # Counters of columns are made for maps of the largest size with padding.
        AtMost("reach", COUNT_MAX + TAP_MAX),
        Clamp("reach", "reach", "in_w"),
        CeilDivide(words, "reach", shape.pixels),
    )


def _conv_steps(
    shape: IsaShape, *, source: str, weights: str, psums: str, columns: str, terms: int
) -> tuple[Step, ...]:
    """What both are checked for; ``columns`` are the words of a row that the engine reads."""
    return (
        AtMost("last_tiles", "group_tiles"),
        AtMost("last_rows", "group_rows"),
        AtMost("group_tiles", shape.group_rows, times="group_rows"),
        MultiplyAdd("group_rows_held", "group_tiles", "group_rows"),
        AtMost("group_rows_held", shape.group_tiles, times="kernel_w"),
        MultiplyAdd("in_tiles", "in_groups", "group_tiles", plus="last_tiles", less=1),
        MultiplyAdd("kernel_h", "row_groups", "group_rows", plus="last_rows", less=1),
        MultiplyAdd("taps", "kernel_h", "kernel_w"),
        AtMost("in_tiles", terms // shape.lanes, Fault.TERMS, times="taps"),
        MultiplyAdd("in_group", "group_tiles", "in_tile"),
        MultiplyAdd("in_row_group", "group_rows", "in_row"),
        MultiplyAdd("in_out_row", "stride", "in_row"),
        MultiplyAdd("in_origin", "pad_top", "in_row", plus="in_base", minus=True),
        MultiplyAdd("w_group", "group_tiles", "w_tile"),
        MultiplyAdd("w_row_group", "group_rows", "w_row"),
        *reached_columns(shape, out="out_w", taps="kernel_w", words="row_segments"),
        Access(
            source,
            shape.size(source),
            "in_base",
            (
                ("in_h", "in_row"),
                (columns, ONE),
                ("in_tiles", "in_tile"),
                ("samples", "in_sample"),
                ("steps", "in_step"),
            ),
        ),
        Access(
            weights,
            shape.size(weights),
            "w_base",
            (
                ("out_tiles", "w_out_tile"),
                ("in_tiles", "w_tile"),
                ("kernel_h", "w_row"),
                ("kernel_w", "w_col"),
            ),
            words=shape.tile_words,
        ),
        Access(
            psums,
            shape.size(psums),
            "out_base",
            (
                ("out_tiles", "out_tile"),
                ("samples", "out_sample"),
                ("steps", "out_step"),
                ("out_h", "out_row"),
                ("out_w", "out_col"),
            ),
            writes=True,
        ),
    )


def fp_conv(opcode: int, shape: IsaShape) -> Instruction:
    terms = 1 << FP_TERMS_BITS
    return Instruction(
        "FP_CONV",
        opcode,
        "fp",
        "Adds up conv_fp of a convolution of spikes, or of a bit plane of the input.",
        (
            *_OPERANDS,
            Operand("shift", 0, PLANE_MAX, "terms count 2**shift: B - b for bit plane b"),
        ),
        (
            *_conv_steps(
                shape,
                source="fp.s_in",
                weights="fp.w",
                psums="fp.conv_fp",
                columns="row_segments",
                terms=terms,
            ),
            MultiplyAdd("terms", "in_tiles", "taps"),
            AtMost("terms", terms // shape.lanes, Fault.TERMS, times="shift", power=True),
        ),
        {**_REGISTERS, "shift": "shift"},
    )


def bp_conv(opcode: int, shape: IsaShape) -> Instruction:
    return Instruction(
        "BP_CONV",
        opcode,
        "bp",
        "Adds up conv_bp: one residue of the outputs modulo the stride of the layer.",
        (*_OPERANDS, *_FIRE),
        (
            # The engine reads the bits of du_next beside it pixel by pixel.
            *_conv_steps(
                shape,
                source="bp.du_next",
                weights="bp.w",
                psums="bp.conv_bp",
                columns="in_w",
                terms=1 << BP_TERMS_BITS,
            ),
            MultiplyAdd("fire_columns", "out_w", "fire_col", plus="fire_x", less=1),
            MultiplyAdd("fire_columns", ONE, ONE, plus="fire_columns"),
            AtMost("fire_columns", COUNT_MAX),
            CeilDivide("fire_words", "fire_columns", shape.pixels),
            Access(
                "bp.s",
                shape.size("bp.s"),
                "fire_base",
                (
                    ("out_tiles", "fire_tile"),
                    ("samples", "fire_sample"),
                    ("steps", "fire_step"),
                    ("out_h", "fire_row"),
                    ("fire_words", ONE),
                ),
                when=(("mask", 1),),
            ),
        ),
        {**_REGISTERS, **same(*names(_FIRE))},
    )
