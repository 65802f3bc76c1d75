"""The instructions: the one table that hardware, assembler, model and documents are made from.

All sizes are in tiles of ``lanes`` channels, pixels, rows, or words of the SRAM in question; an
address counts words. Strides go from one item to the next and may be negative. What the names of
an engine's operands mean stands with its command: :mod:`hw.conv.command`, :mod:`hw.wg.command`,
:mod:`hw.neuron.command`, :mod:`hw.dma.command`, :mod:`hw.noc.command`.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hw.arith.format import BP_TERMS_BITS, FP16, FP32, FP_TERMS_BITS, Float
from hw.config import ChipConfig
from hw.conv.shape import EngineShape
from hw.instruction import (
    ONE,
    Access,
    Aligned,
    AtMost,
    CeilDivide,
    Clamp,
    Fault,
    Instruction,
    MultiplyAdd,
    Operand,
    Step,
    Whole,
)
from hw.limits import PLANE_MAX, POOLING_MAX, TAP_MAX
from hw.memory.loops import COUNT_BITS
from hw.memory.port import ADDRESS_BITS
from hw.neuron.command import Destination, Operation, Source

__all__ = [
    "BOXES",
    "BOX_MESSAGES",
    "LOOP_LEVELS",
    "LOOP_STEPS",
    "REGISTERS",
    "ROUTES",
    "SRAMS",
    "UNITS",
    "WORD_MAX",
    "Control",
    "Flow",
    "IsaShape",
    "Wait",
    "instruction_set",
]

REGISTERS = 16
"""Address registers of a sub-core, which LOOP steps; number 0 is always 0."""
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
    "fp": (("s_out", "fp.s_in"), ("s_out", "bp.s"), ("spike", "bp.s"), ("u", "bp.u")),
    "bp": (("du", "bp.du_next"), ("w", "fp.w")),
}
"""NOC_DATA inside the core: an SRAM of the own sub-core, and where to, by ``data_type``."""


class Wait(enum.Enum):
    """``sub_type`` of BARRIER."""

    WAIT = 0
    END = 1


class Flow(enum.Enum):
    """``flow_type`` of NOC_DATA."""

    CORE = 0


class Control(enum.Enum):
    """``flow_type`` of NOC_CTRL."""

    SIGNAL = 0
    CLEAR = 1
    COLLECT = 2


COUNT_MAX = (1 << COUNT_BITS) - 1
ADDRESS_MAX = (1 << ADDRESS_BITS) - 1
STRIDE_MAX = ADDRESS_MAX
TILES_MAX = 31
WORD_MAX = (1 << 32) - 1


@dataclass(frozen=True, kw_only=True)
class IsaShape:
    """What the bounds of operands depend on."""

    format: Float = FP16
    lanes: int = 16
    pixels: int = 16
    entries: int = 18
    rows: int = 8
    tile_words: int = 16
    bus_bytes: int = 32
    words: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Words of each SRAM by its setting; 2**16 for one that is not named."""

    @classmethod
    def from_config(cls, config: ChipConfig) -> IsaShape:
        """Of a core of ``config``."""
        shape = EngineShape.from_config(config)
        return cls(
            format=config.format,
            lanes=shape.lanes,
            pixels=shape.pixels,
            entries=shape.entries,
            rows=shape.rows,
            tile_words=shape.tile_words,
            bus_bytes=config.dram.bus_bits // 8,
            words={name: size.words for name, size in config.srams.items()},
        )

    @classmethod
    def of_engine(cls, shape: EngineShape) -> IsaShape:
        """Of an engine by itself, whose memories have all the words that an address reaches."""
        return cls(
            format=shape.format,
            lanes=shape.lanes,
            pixels=shape.pixels,
            entries=shape.entries,
            rows=shape.rows,
            tile_words=shape.tile_words,
        )

    def size(self, sram: str) -> int:
        """Words of an SRAM."""
        return self.words.get(sram, ADDRESS_MAX + 1)


def _flag(name: str, what: str) -> Operand:
    return Operand(name, 0, 1, what)


def _count(name: str, what: str, low: int = 1) -> Operand:
    return Operand(name, low, COUNT_MAX, what)


def _tap(name: str, what: str, low: int = 0) -> Operand:
    return Operand(name, low, TAP_MAX, what)


def _stride(name: str, what: str) -> Operand:
    return Operand(name, -STRIDE_MAX, STRIDE_MAX, what)


def _map(name: str, what: str, strides: Iterable[str]) -> tuple[Operand, ...]:
    """Base and strides of a map."""
    return (
        Operand(f"{name}_base", 0, ADDRESS_MAX, f"first word of {what}"),
        *(
            _stride(f"{name}_{stride}", f"words from one {stride} to the next")
            for stride in strides
        ),
    )


def _code(name: str, what: str, bits: int) -> Operand:
    return Operand(name, 0, (1 << bits) - 1, what)


def _same(*names: str, **others: str) -> dict[str, str]:
    """Registers that get the operand or value of the same name, and others."""
    return {**{name: name for name in names}, **others}


def _names(operands: Iterable[Operand]) -> tuple[str, ...]:
    return tuple(operand.name for operand in operands)


def _choices(kind: type[enum.Enum]) -> str:
    return ", ".join(f"{item.value} {item.name}" for item in kind)


# --- Convolutions -------------------------------------------------------------------------------

_CONV_EXTENT = (
    _count("out_tiles", "output tiles"),
    _count("in_groups", "groups of input tiles that the ring of weights holds at a time"),
    Operand("group_tiles", 1, TILES_MAX, "input tiles in a group"),
    Operand("last_tiles", 1, TILES_MAX, "input tiles in the last group"),
    _tap("row_groups", "groups of kernel rows", 1),
    _tap("group_rows", "kernel rows in a group", 1),
    _tap("last_rows", "kernel rows in the last group", 1),
    _tap("kernel_w", "kernel columns", 1),
    _count("samples", "samples"),
    _count("steps", "time steps"),
    _count("in_h", "rows of the input map; 0 where nothing is reached", 0),
    _count("in_w", "columns of the input map"),
    _count("out_h", "rows of outputs"),
    _count("out_w", "columns of outputs"),
    _tap("stride", "input pixels from one output to the next, both ways", 1),
    _tap("pad_top", "rows of padding above the input map"),
    _tap("pad_left", "columns of padding left of it"),
)
_CONV_MAPS = (
    *_map("in", "the input map", ("tile", "row", "sample", "step")),
    *_map("w", "the weights", ("out_tile", "tile", "row", "col")),
    *_map("out", "the psums", ("tile", "sample", "step", "row", "col")),
)
_CONV_MODES = (
    _flag("psum_acc", "add to the psums that are there"),
    _flag("skip", "leave out what takes no part: changes cycles, no bit"),
)


def _columns(shape: IsaShape, *, out: str, taps: str, words: str) -> tuple[Step, ...]:
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
    return (
        AtMost("last_tiles", "group_tiles"),
        AtMost("last_rows", "group_rows"),
        AtMost("group_tiles", shape.rows, times="group_rows"),
        MultiplyAdd("group_rows_held", "group_tiles", "group_rows"),
        AtMost("group_rows_held", shape.entries, times="kernel_w"),
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
        *_columns(shape, out="out_w", taps="kernel_w", words="row_segments"),
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


_CONV_OPERANDS = (*_CONV_EXTENT, *_CONV_MAPS, *_CONV_MODES)
_CONV_REGISTERS = _same(
    *_names(_CONV_OPERANDS),
    "row_segments",
    "in_group",
    "in_row_group",
    "in_out_row",
    "w_group",
    "w_row_group",
    in_base="in_origin",
)


def _fp_conv(shape: IsaShape) -> Instruction:
    terms = 1 << FP_TERMS_BITS
    return Instruction(
        "FP_CONV",
        0x01,
        "fp",
        "Adds up conv_fp of a convolution of spikes, or of a bit plane of the input.",
        (
            *_CONV_OPERANDS,
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
        {**_CONV_REGISTERS, "shift": "shift"},
    )


def _bp_conv(shape: IsaShape) -> Instruction:
    return Instruction(
        "BP_CONV",
        0x02,
        "bp",
        "Adds up conv_bp: one residue of the outputs modulo the stride of the layer.",
        (
            *_CONV_OPERANDS,
            *_map("fire", "the fire map of the outputs", ("tile", "sample", "step", "row")),
            _count("fire_x", "pixel of the fire map that is the first output's", 0),
            _tap("fire_col", "pixels of the fire map from one output to the next"),
            _flag("mask", "lanes without fire take no part"),
        ),
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
        {
            **_CONV_REGISTERS,
            **_same(
                "fire_base",
                "fire_tile",
                "fire_sample",
                "fire_step",
                "fire_row",
                "fire_x",
                "fire_col",
                "mask",
            ),
        },
    )


def _wg_conv(shape: IsaShape) -> Instruction:
    terms = 1 << FP_TERMS_BITS
    operands = (
        _count("out_tiles", "tiles of output channels m"),
        _count("in_tiles", "tiles of input channels c"),
        Operand("last_m", 1, shape.lanes, "output channels in the last tile; dw of others is +0"),
        Operand("last_c", 1, shape.lanes, "input channels in the last tile; dw of others is +0"),
        _tap("kernel_h", "kernel rows", 1),
        _tap("kernel_w", "kernel columns", 1),
        _count("samples", "samples"),
        _count("steps", "time steps"),
        _count("in_h", "rows of the spike map"),
        _count("in_w", "columns of the spike map"),
        _count("out_h", "rows of the du map"),
        _count("out_w", "columns of the du map"),
        _tap("stride", "spike pixels from one du pixel to the next, both ways", 1),
        _tap("pad_top", "rows of padding above the spike map"),
        _tap("pad_left", "columns of padding left of it"),
        *_map("spike", "the spike map", ("tile", "sample", "step", "row")),
        *_map("du", "the du map", ("tile", "sample", "step", "row")),
        Operand("dw_base", 0, ADDRESS_MAX, "first word of dw, which is stored like weights"),
        Operand("plane", 0, PLANE_MAX, "b: the sum counts 2**-b"),
        _flag("dw_acc", "add to the dw that is there"),
        _flag("skip", "leave out vectors of silent spikes: changes cycles, no bit"),
    )
    return Instruction(
        "WG_CONV",
        0x03,
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
            *_columns(shape, out="out_w", taps="kernel_w", words="row_words"),
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
        _same(
            *(name for name in _names(operands) if name != "out_w"),
            "last_x",
            "row_words",
            "spike_out_row",
            "dw_words",
            spike_base="spike_origin",
        ),
    )


# --- Element-wise pipelines ---------------------------------------------------------------------

_STRIDES = ("sample", "tile", "row")
_AREA = (
    _count("samples", "samples"),
    _count("tiles", "tiles of channels"),
    _count("window_rows", "windows of pooling, whole or not, one below the other: rows if none"),
    _count("window_columns", "windows side by side: columns if none"),
)
_POOLING = (
    Operand("pooling", 1, POOLING_MAX, "side of a window"),
    Operand("last_rows", 1, POOLING_MAX, "rows of the last row of windows"),
    Operand("last_columns", 1, POOLING_MAX, "columns of the last column of windows"),
)


def _last_lanes(shape: IsaShape) -> Operand:
    return Operand("last_lanes", 1, shape.lanes, "channels in the last tile")


def _map_sizes(shape: IsaShape) -> tuple[Step, ...]:
    """Rows, columns and spike words of a map, and of the pooled one."""
    return (
        AtMost("last_rows", "pooling"),
        AtMost("last_columns", "pooling"),
        MultiplyAdd("rows", "window_rows", "pooling", plus="last_rows", less=1),
        MultiplyAdd("columns", "window_columns", "pooling", plus="last_columns", less=1),
        CeilDivide("row_words", "columns", shape.pixels),
        Whole("pooled_rows", "window_rows", "last_rows", "pooling"),
        Whole("pooled_columns", "window_columns", "last_columns", "pooling"),
        CeilDivide("pooled_words", "pooled_columns", shape.pixels),
    )


def _window(name: str) -> MultiplyAdd:
    """Words from a row of windows to the next."""
    return MultiplyAdd(f"{name}_window", "pooling", f"{name}_row")


def _element_access(
    shape: IsaShape, sram: str, name: str, rows: str, columns: str, **when: Any
) -> Access:
    return Access(
        sram,
        shape.size(sram),
        f"{name}_base",
        (
            ("samples", f"{name}_sample"),
            ("tiles", f"{name}_tile"),
            (rows, f"{name}_row"),
            (columns, ONE),
        ),
        **when,
    )


def _map_registers(register: str, name: str, *, pooled: bool = False) -> dict[str, str]:
    """Registers of a map from the operands and values of ``name``."""
    rows = {"window": f"{name}_row"} if pooled else {"window": f"{name}_window"}
    if not pooled:
        rows["row"] = f"{name}_row"
    strides = {"base": f"{name}_base", "sample": f"{name}_sample", "tile": f"{name}_tile"}
    return {f"{register}_{part}": value for part, value in {**strides, **rows}.items()}


def _fp_soma(shape: IsaShape) -> Instruction:
    bits = shape.format.width
    words, spikes = ("conv", "u_prev", "u"), ("spike_prev", "spike")
    carried = (("t_acc", 1),)
    return Instruction(
        "FP_SOMA",
        0x04,
        "soma",
        "A time step of Soma: potentials, spikes, and spikes after max-pooling.",
        (
            *_AREA,
            *_POOLING,
            _last_lanes(shape),
            _flag("t_acc", "there is a step before; u_prev and spike_prev are read then"),
            Operand("scale", 0, PLANE_MAX, "B, the last bit plane of a direct input"),
            _code("alpha", "leak", bits),
            _code("th_f", "a neuron fires from this potential on", bits),
            *_map("conv", "the psums", _STRIDES),
            *_map("u_prev", "u of the step before", _STRIDES),
            *_map("spike_prev", "spikes of the step before", _STRIDES),
            *_map("u", "u", _STRIDES),
            *_map("spike", "the spikes before pooling", _STRIDES),
            *_map("s_out", "the spikes after pooling", _STRIDES),
        ),
        (
            *_map_sizes(shape),
            *(_window(name) for name in (*words, *spikes)),
            _element_access(shape, "fp.conv_fp", "conv", "rows", "columns"),
            _element_access(shape, "fp.u", "u_prev", "rows", "columns", when=carried),
            _element_access(shape, "fp.spike", "spike_prev", "rows", "row_words", when=carried),
            _element_access(shape, "fp.u", "u", "rows", "columns", writes=True),
            _element_access(shape, "fp.spike", "spike", "rows", "row_words", writes=True),
            _element_access(shape, "fp.s_out", "s_out", "pooled_rows", "pooled_words", writes=True),
        ),
        {
            **_same(
                *_names((*_AREA, *_POOLING)),
                "last_lanes",
                "t_acc",
                "scale",
                "alpha",
                "th_f",
            ),
            **_map_registers("conv_read", "conv"),
            **_map_registers("u_read", "u_prev"),
            **_map_registers("spike_read", "spike_prev"),
            **_map_registers("write", "u"),
            **_map_registers("spike_write", "spike"),
            **_map_registers("s_out_write", "s_out", pooled=True),
        },
    )


def _bp_grad(shape: IsaShape) -> Instruction:
    bits = shape.format.width
    return Instruction(
        "BP_GRAD",
        0x05,
        "grad",
        "A time step of Grad: gradients of potentials.",
        (
            *_AREA,
            *_POOLING,
            _last_lanes(shape),
            _flag("t_acc", "there is a step after; du_next is read then"),
            _code("alpha", "leak", bits),
            _code("th_f", "a neuron fires from this potential on", bits),
            _code("th_l", "lower end of the window of the surrogate derivative", bits),
            _code("th_r", "upper end of it", bits),
            *_map("conv", "the psums, one a window", _STRIDES),
            *_map("u", "u", _STRIDES),
            *_map("du_next", "du of the step after", _STRIDES),
            *_map("s_out", "the spikes after pooling; read if there is pooling", _STRIDES),
            *_map("du", "du", _STRIDES),
        ),
        (
            *_map_sizes(shape),
            *(_window(name) for name in ("u", "du_next", "du")),
            _element_access(shape, "bp.conv_bp", "conv", "pooled_rows", "pooled_columns"),
            _element_access(shape, "bp.u", "u", "rows", "columns"),
            _element_access(shape, "bp.du", "du_next", "rows", "columns", when=(("t_acc", 1),)),
            _element_access(
                shape,
                "bp.s",
                "s_out",
                "pooled_rows",
                "pooled_words",
                when=tuple(("pooling", side) for side in range(2, POOLING_MAX + 1)),
            ),
            _element_access(shape, "bp.du", "du", "rows", "columns", writes=True),
        ),
        {
            **_same(
                *_names((*_AREA, *_POOLING)),
                "last_lanes",
                "t_acc",
                "alpha",
                "th_f",
                "th_l",
                "th_r",
            ),
            **_map_registers("conv_read", "conv", pooled=True),
            **_map_registers("u_read", "u"),
            **_map_registers("du_read", "du_next"),
            **_map_registers("s_read", "s_out", pooled=True),
            **_map_registers("write", "du"),
        },
    )


def _vector(
    shape: IsaShape,
    mnemonic: str,
    opcode: int,
    *,
    unit: str,
    srams: Mapping[str, str],
    bits: str,
    extra: tuple[Operand, ...] = (),
) -> Instruction:
    """``srams`` has the SRAM of each map by its name; ``bits`` is the port of the bit map."""
    width = shape.format.width
    kinds: Any = Source  # whose members look like plain numbers to a type checker
    sources = {name: kinds[name.upper()] for name in ("conv", "u", "bits", "du")}
    maps = [name for name in sources if name in srams]
    kinds = Destination
    places = {name: kinds[name.upper()] for name in ("map", "conv", "bits")}
    registers: dict[str, str] = {}
    accesses = []
    for name in maps:
        port = f"{bits}_read" if name == "bits" else f"{name}_read"
        registers |= _map_registers(port, name, pooled=True)
        number = sources[name].value
        accesses.append(
            _element_access(
                shape,
                srams[name],
                name,
                "window_rows",
                "row_words" if name == "bits" else "window_columns",
                when=(("x", number), ("y", number)),
            )
        )
    for port in ("write", f"{bits}_write"):
        registers |= _map_registers(port, "write", pooled=True)
    for name, destination in places.items():
        sram = srams["written" if name == "map" else name]
        accesses.append(
            _element_access(
                shape,
                sram,
                "write",
                "window_rows",
                "row_words" if name == "bits" else "window_columns",
                when=(("destination", destination.value),),
                writes=True,
            )
        )
    return Instruction(
        mnemonic,
        opcode,
        unit,
        "One operation, rounded once, on each element of maps: x + y, x - y, x * y, or "
        "th_l <= x <= th_r, which makes bits.",
        (
            *_AREA,
            _last_lanes(shape),
            Operand("operation", 1, 4, _choices(Operation)),
            Operand("x", 0, len(maps), _choices(Source)),
            Operand("y", 0, len(maps), "likewise; x again in COMPARE"),
            Operand("destination", 0, 2, f"{_choices(Destination)}, just when COMPARE"),
            *extra,
            _code("scalar", "the operand SCALAR", width),
            _code("th_l", "lower bound of COMPARE", width),
            _code("th_r", "upper bound of COMPARE", width),
            *(operand for name in maps for operand in _map(name, name, _STRIDES)),
            *_map("write", "the result", _STRIDES),
        ),
        (
            # Bits are the result of COMPARE (4), and of nothing else.
            AtMost("destination", "operation", times=4, less=1),
            AtMost("operation", "destination", times=2, less=3),
            CeilDivide("row_words", "window_columns", shape.pixels),
            *accesses,
        ),
        {
            **_same(
                *_names((*_AREA, *extra)),
                "last_lanes",
                "operation",
                "x",
                "y",
                "destination",
                "scalar",
                "th_l",
                "th_r",
            ),
            "pooling": ONE,
            "last_rows": ONE,
            "last_columns": ONE,
            **registers,
        },
    )


# --- Update, data movement, control -------------------------------------------------------------


def _wu(shape: IsaShape) -> Instruction:
    dw = shape.size("bp.dw")
    values = tuple(
        Operand(name, 0, ADDRESS_MAX, what)
        for name, what in (
            ("dw", "first word in bp.dw of the gradients"),
            ("w", "of the masters, which are updated in place"),
            ("v", "of the momenta, which are updated in place"),
            ("stored", "in bp.w of the weights in the storage format, counted in rows of a tile"),
        )
    )
    rule = tuple(
        _code(name, what, FP32.width)
        for name, what in (
            ("k", "scale of the gradients"),
            ("wd", "weight decay"),
            ("mu", "momentum"),
            ("lr", "learning rate"),
        )
    )
    operands = (Operand("words", 1, ADDRESS_MAX + 1, "words of weights"), *values, *rule)
    rows = shape.size("bp.w") * shape.lanes // shape.tile_words
    return Instruction(
        "WU",
        0x08,
        "wu",
        "Updates weights by gradient descent with momentum; nothing if COLLECT found a status.",
        operands,
        tuple(
            Access(
                "bp.w" if name == "stored" else "bp.dw",
                min(rows, ADDRESS_MAX + 1) if name == "stored" else dw,
                name,
                (("words", ONE),),
                writes=name != "dw",
            )
            for name in _names(values)
        ),
        _same(*_names(operands)),
    )


def _dma(shape: IsaShape, mnemonic: str, opcode: int, subcore: str) -> Instruction:
    operands = (
        Operand("sram", 0, len(SRAMS[subcore]) - 1, _numbered(SRAMS[subcore])),
        Operand("base", 0, ADDRESS_MAX, "first word in the SRAM"),
        Operand("words", 1, ADDRESS_MAX + 1, "words of a row"),
        _count("rows", "rows"),
        _stride("sram_row", "words from one row to the next in the SRAM"),
        _code("dram", "address in bytes of the first row in DRAM", 32),
        Operand("dram_row", -(1 << 31), (1 << 31) - 1, "bytes from one row to the next in DRAM"),
    )
    reads = mnemonic == "DMA_RD"
    return Instruction(
        mnemonic,
        opcode,
        "read" if reads else "write",
        "Copies rows of words from DRAM to an SRAM."
        if reads
        else "Copies rows of words from an SRAM to DRAM.",
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
                    writes=reads,
                )
                for number, sram in enumerate(SRAMS[subcore])
            ),
        ),
        _same(*_names(operands)),
    )


def _numbered(names: Iterable[str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(names))


def _noc_data(shape: IsaShape, subcore: str) -> Instruction:
    routes = ROUTES[subcore]
    operands = (
        Operand("flow_type", 0, 0, _choices(Flow)),
        Operand(
            "data_type",
            0,
            len(routes) - 1,
            _numbered(f"{here} to {there}" for here, there in routes),
        ),
        Operand("tag_id", 0, 0, "0 inside a core"),
        Operand("source", 0, ADDRESS_MAX, "first word there"),
        Operand("destination", 0, ADDRESS_MAX, "first word here"),
        Operand("words", 1, ADDRESS_MAX + 1, "words of a row"),
        _count("rows", "rows"),
        _stride("source_row", "words from one row to the next"),
        _stride("destination_row", "words from one row to the next"),
    )
    accesses = [
        Access(
            sram,
            shape.size(sram),
            end,
            (("rows", f"{end}_row"), ("words", ONE)),
            when=(("data_type", number),),
            writes=end == "destination",
        )
        for number, (here, there) in enumerate(routes)
        for end, sram in (("source", f"{subcore}.{here}"), ("destination", there))
    ]
    return Instruction(
        "NOC_DATA",
        0x0B,
        "noc",
        "Copies rows of words to another SRAM of the core.",
        operands,
        tuple(accesses),
        {
            **_same("source", "destination", "words", "rows", "source_row", "destination_row"),
            "route": "data_type",
            "moves": ONE,
        },
    )


_NOC_CTRL = Instruction(
    "NOC_CTRL",
    0x0C,
    "noc",
    "Puts a message in a box of the other sub-core, or clears or collects the statuses.",
    (
        Operand("flow_type", 0, len(Control) - 1, _choices(Control)),
        Operand("tag_id", 0, 0, "0 inside a core"),
        Operand("msg_box", 0, BOXES - 1, "box of the other sub-core that SIGNAL adds to"),
    ),
    (),
    _same("flow_type", "msg_box"),
)


def _barrier(subcore: str) -> Instruction:
    units = _numbered(UNITS[subcore])
    mask = (1 << len(UNITS[subcore])) - 1
    return Instruction(
        "BARRIER",
        0x0F,
        "control",
        "The next instruction of each of ``units`` waits for all those of ``after`` in front of "
        "the barrier, and takes a message out of each of ``boxes``. END waits for all units, and "
        "is the end of the program.",
        (
            Operand("sub_type", 0, len(Wait) - 1, _choices(Wait)),
            Operand("units", 0, mask, f"bits of the units that wait: {units}"),
            Operand("after", 0, mask, "bits of the units that they wait for"),
            Operand("boxes", 0, (1 << BOXES) - 1, "bits of the message boxes"),
        ),
    )


_LOOP = Instruction(
    "LOOP",
    0x10,
    "control",
    "Repeats the instructions behind it. After each time but the last, steps are added to address "
    "registers; after the last, these are again what they were before the loop.",
    (
        _count("count", "times that the body runs"),
        Operand("length", 1, ADDRESS_MAX, "words of the body"),
        *(
            operand
            for number in range(LOOP_STEPS)
            for operand in (
                Operand(f"register_{number}", 0, REGISTERS - 1, "address register, or 0 for none"),
                Operand(f"step_{number}", -(1 << 31), (1 << 31) - 1, "what is added to it"),
            )
        ),
    ),
)


def _norm(mnemonic: str, opcode: int, unit: str) -> Instruction:
    return Instruction(
        mnemonic,
        opcode,
        unit,
        "Batch norm: accumulates statistics, or applies them. Fixed now, not built yet.",
        (
            _count("h_size", "rows"),
            _count("w_size", "columns"),
            _count("m_size", "channels"),
            _count("m_offset", "first channel", 0),
            _flag("acc", "accumulate statistics, else apply them"),
        ),
        built=False,
    )


@functools.cache
def instruction_set(shape: IsaShape, subcore: str) -> dict[str, Instruction]:
    """The instructions of a sub-core, ``fp`` or ``bp``, by mnemonic."""
    soma = {"conv": "fp.conv_fp", "u": "fp.u", "bits": "fp.spike", "written": "fp.u"}
    grad = {"conv": "bp.conv_bp", "u": "bp.u", "bits": "bp.s", "du": "bp.du", "written": "bp.du"}
    scale = Operand("scale", 0, PLANE_MAX, "B of the psums")
    own = {
        "fp": lambda: (
            _fp_conv(shape),
            _fp_soma(shape),
            _vector(
                shape, "FP_VECTOR", 0x06, unit="soma", srams=soma, bits="spike", extra=(scale,)
            ),
            _norm("FP_BN", 0x0D, "soma"),
        ),
        "bp": lambda: (
            _bp_conv(shape),
            _wg_conv(shape),
            _bp_grad(shape),
            _vector(shape, "BP_VECTOR", 0x07, unit="grad", srams=grad, bits="s"),
            _wu(shape),
            _norm("BP_BN", 0x0E, "grad"),
        ),
    }
    common = (
        _dma(shape, "DMA_RD", 0x09, subcore),
        _dma(shape, "DMA_WR", 0x0A, subcore),
        _noc_data(shape, subcore),
        _NOC_CTRL,
        _barrier(subcore),
        _LOOP,
    )
    return {each.mnemonic: each for each in (*own[subcore](), *common)}
