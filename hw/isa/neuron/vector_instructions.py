"""FP_VECTOR and BP_VECTOR: operations on the soma and grad engines beside a neuron's own step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backspike.hw.isa.instruction import ONE, AtMost, CeilDivide, Instruction, Operand
from backspike.hw.isa.neuron.command import Destination, Operation, Source
from backspike.hw.isa.neuron.maps import AREA, ElementMap, Grid, last_lanes, map_registers
from backspike.hw.isa.operands import IsaShape, choices, code, names, same
from backspike.hw.limits import PLANE_MAX

__all__ = ["bp_vector", "fp_vector"]


def fp_vector(opcode: int, shape: IsaShape) -> Instruction:
    return _vector(
        "FP_VECTOR",
        opcode,
        "soma",
        shape,
        srams={Source.CONV: "fp.conv_fp", Source.U: "fp.u", Source.BITS: "fp.spike"},
        written="fp.u",
        bits="spike",
        extra=(Operand("scale", 0, PLANE_MAX, "B of the psums"),),
    )


def bp_vector(opcode: int, shape: IsaShape) -> Instruction:
    return _vector(
        "BP_VECTOR",
        opcode,
        "grad",
        shape,
        srams={
            Source.CONV: "bp.conv_bp",
            Source.U: "bp.u",
            Source.BITS: "bp.s",
            Source.DU: "bp.du",
        },
        written="bp.du",
        bits="s",
    )


def _vector(
    mnemonic: str,
    opcode: int,
    unit: str,
    shape: IsaShape,
    *,
    srams: Mapping[Any, str],
    written: str,
    bits: str,
    extra: tuple[Operand, ...] = (),
) -> Instruction:
    """``srams`` is where operands come from; ``bits`` begins the names of the ports for bits."""
    width = shape.format.width
    reads, result = _maps(srams, written, bits)
    return Instruction(
        mnemonic,
        opcode,
        unit,
        "One operation, rounded once, on each element of maps: x + y, x - y, x * y, or "
        "th_l <= x <= th_r, which makes bits.",
        (
            *AREA,
            last_lanes(shape),
            Operand("operation", 1, 4, choices(Operation)),
            Operand("x", 0, len(reads), choices(Source)),
            Operand("y", 0, len(reads), "likewise; x again in COMPARE"),
            Operand("destination", 0, 2, f"{choices(Destination)}, just when COMPARE"),
            *extra,
            code("scalar", "the operand SCALAR", width),
            code("th_l", "lower bound of COMPARE", width),
            code("th_r", "upper bound of COMPARE", width),
            # Wherever the result goes, the same operands say where it lies there.
            *(operand for each in (*reads, result[0]) for operand in each.operands),
        ),
        (
            # Bits are the result of COMPARE (4), and of nothing else.
            AtMost("destination", "operation", times=4, less=1),
            AtMost("operation", "destination", times=2, less=3),
            CeilDivide("row_words", "window_columns", shape.pixels),
            *(each.access(shape) for each in (*reads, *result)),
        ),
        {
            **same(
                *names((*AREA, *extra)),
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
            **map_registers((*reads, *result)),
        },
    )


def _maps(
    srams: Mapping[Any, str], written: str, bits: str
) -> tuple[list[ElementMap], list[ElementMap]]:
    """The maps that may be read, by source, and those that may be written, by destination."""
    reads = []
    for source, sram in srams.items():
        name = source.name.lower()
        port = f"{bits if source is Source.BITS else name}_read"
        grid = Grid.WINDOW_BITS if source is Source.BITS else Grid.WINDOWS
        when = (("x", source.value), ("y", source.value))
        reads.append(ElementMap(name, name, port, sram, grid, when))
    places: dict[Any, tuple[str, str, Grid]] = {
        Destination.MAP: ("write", written, Grid.WINDOWS),
        Destination.CONV: ("write", srams[Source.CONV], Grid.WINDOWS),
        Destination.BITS: (f"{bits}_write", srams[Source.BITS], Grid.WINDOW_BITS),
    }
    result = [
        ElementMap("write", "the result", *place, (("destination", each.value),), writes=True)
        for each, place in places.items()
    ]
    return reads, result
