"""FP_SOMA, BP_GRAD, FP_BN, BP_BN and WU, for the engines of :mod:`.command`."""

from __future__ import annotations

from backspike.hw.arith.format import BINARY32
from backspike.hw.isa.instruction import (
    ONE,
    Access,
    AtMost,
    CeilDivide,
    FullCount,
    Instruction,
    MultiplyAdd,
    Operand,
)
from backspike.hw.isa.neuron.maps import AREA, ElementMap, Grid, last_lanes, map_registers
from backspike.hw.isa.operands import ADDRESS_MAX, IsaShape, code, count, flag, names, same
from backspike.hw.limits import PLANE_MAX, POOLING_MAX

__all__ = ["bp_bn", "bp_grad", "fp_bn", "fp_soma", "wu"]

_POOLING = (
    Operand("pooling", 1, POOLING_MAX, "side of a window"),
    Operand("last_rows", 1, POOLING_MAX, "rows of the last row of windows"),
    Operand("last_columns", 1, POOLING_MAX, "columns of the last column of windows"),
)


def fp_soma(opcode: int, shape: IsaShape) -> Instruction:
    bits = shape.format.width
    before = (("t_acc", 1),)
    return _step(
        "FP_SOMA",
        opcode,
        "soma",
        "A time step of Soma: potentials, spikes, and spikes after max-pooling.",
        shape,
        (
            flag("t_acc", "there is a step before; u_prev and spike_prev are read then"),
            Operand("scale", 0, PLANE_MAX, "B, the last bit plane of a direct input"),
            code("alpha", "decay", bits),
            code("th_f", "a neuron fires from this potential on", bits),
        ),
        (
            ElementMap("conv", "the psums", "conv_read", "fp.conv_fp", Grid.PIXELS),
            ElementMap("u_prev", "u of the step before", "u_read", "fp.u", Grid.PIXELS, before),
            ElementMap(
                "spike_prev",
                "spikes of the step before",
                "spike_read",
                "fp.spike",
                Grid.PIXEL_BITS,
                before,
            ),
            ElementMap("u", "u", "write", "fp.u", Grid.PIXELS, writes=True),
            ElementMap(
                "spike",
                "the spikes before pooling",
                "spike_write",
                "fp.spike",
                Grid.PIXEL_BITS,
                writes=True,
            ),
            ElementMap(
                "s_out",
                "the spikes after pooling",
                "s_out_write",
                "fp.s_out",
                Grid.POOLED_BITS,
                writes=True,
            ),
        ),
    )


def bp_grad(opcode: int, shape: IsaShape) -> Instruction:
    bits = shape.format.width
    return _step(
        "BP_GRAD",
        opcode,
        "grad",
        "A time step of Grad: gradients of potentials.",
        shape,
        (
            flag("t_acc", "there is a step after; du_next is read then"),
            code("alpha", "decay", bits),
            code("th_f", "a neuron fires from this potential on", bits),
            code("th_l", "lower end of the window of the surrogate derivative", bits),
            code("th_r", "upper end of it", bits),
        ),
        (
            ElementMap("conv", "the psums, one a window", "conv_read", "bp.conv_bp", Grid.POOLED),
            ElementMap("u", "u", "u_read", "bp.u", Grid.PIXELS),
            ElementMap(
                "du_next",
                "du of the step after",
                "du_read",
                "bp.du",
                Grid.PIXELS,
                when=(("t_acc", 1),),
            ),
            ElementMap(
                "s_out",
                "the spikes after pooling; read if there is pooling",
                "s_read",
                "bp.s",
                Grid.POOLED_BITS,
                when=tuple(("pooling", side) for side in range(2, POOLING_MAX + 1)),
            ),
            ElementMap("du", "du", "write", "bp.du", Grid.PIXELS, writes=True),
        ),
    )


def _step(
    mnemonic: str,
    opcode: int,
    unit: str,
    what: str,
    shape: IsaShape,
    settings: tuple[Operand, ...],
    maps: tuple[ElementMap, ...],
) -> Instruction:
    """A time step on maps that may be pooled."""
    settings = (*AREA, *_POOLING, last_lanes(shape), *settings)
    return Instruction(
        mnemonic,
        opcode,
        unit,
        what,
        (*settings, *(operand for each in maps for operand in each.operands)),
        (
            AtMost("last_rows", "pooling"),
            AtMost("last_columns", "pooling"),
            MultiplyAdd("rows", "window_rows", "pooling", plus="last_rows", less=1),
            MultiplyAdd("columns", "window_columns", "pooling", plus="last_columns", less=1),
            CeilDivide("row_words", "columns", shape.pixels),
            # Windows that the map cuts off are left out of the pooled one.
            FullCount("pooled_rows", "window_rows", "last_rows", "pooling"),
            FullCount("pooled_columns", "window_columns", "last_columns", "pooling"),
            CeilDivide("pooled_words", "pooled_columns", shape.pixels),
            *(
                each.window
                for grid in (Grid.PIXELS, Grid.PIXEL_BITS)
                for each in maps
                if each.grid is grid
            ),
            *(each.access(shape) for each in maps),
        ),
        {**same(*names(settings)), **map_registers(maps)},
    )


def fp_bn(opcode: int) -> Instruction:
    return _norm("FP_BN", opcode, "soma")


def bp_bn(opcode: int) -> Instruction:
    return _norm("BP_BN", opcode, "grad")


def _norm(mnemonic: str, opcode: int, unit: str) -> Instruction:
    return Instruction(
        mnemonic,
        opcode,
        unit,
        "Batch norm: accumulates statistics, or applies them. Fixed now, not built yet.",
        (
            count("h_size", "rows"),
            count("w_size", "columns"),
            count("m_size", "channels"),
            count("m_offset", "first channel", 0),
            flag("acc", "accumulate statistics, else apply them"),
        ),
        built=False,
    )


def wu(opcode: int, shape: IsaShape) -> Instruction:
    dw = shape.size("bp.dw")
    rows = min(shape.size("bp.w") * shape.lanes // shape.tile_words, ADDRESS_MAX + 1)
    memories = (
        ("dw", "bp.dw", dw, "first word in bp.dw of the gradients"),
        ("w", "bp.dw", dw, "of the masters, which are updated in place"),
        ("v", "bp.dw", dw, "of the momenta, which are updated in place"),
        (
            "stored",
            "bp.w",
            rows,
            "in bp.w of the weights in the storage format, counted in rows of a tile",
        ),
    )
    operands = (
        Operand("words", 1, ADDRESS_MAX + 1, "words of weights"),
        *(Operand(name, 0, ADDRESS_MAX, what) for name, _, _, what in memories),
        code("k", "scale of the gradients", BINARY32.width),
        code("wd", "weight decay", BINARY32.width),
        code("mu", "momentum", BINARY32.width),
        code("lr", "learning rate", BINARY32.width),
    )
    return Instruction(
        "WU",
        opcode,
        "wu",
        "Updates weights by gradient descent with momentum; nothing if COLLECT found a status.",
        operands,
        tuple(
            Access(sram, size, name, (("words", ONE),), writes=name != "dw")
            for name, sram, size, _ in memories
        ),
        same(*names(operands)),
    )
