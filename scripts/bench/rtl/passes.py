"""Commands of engines by themselves: what their instructions are decoded to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backspike.compiler.lowering.convolution import ConvLayer, bp_operands, fp_operands
from backspike.compiler.lowering.gradient import wg_operands
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.isa.table import IsaShape, instruction_set
from backspike.hw.isa.units import command_of

__all__ = ["bp_passes", "decoded", "fp_pass", "wg_pass"]


def decoded(mnemonic: str, shape: IsaShape, operands: dict[str, int]) -> dict[str, Any]:
    """The fields of the command that an instruction becomes."""
    subcore = "fp" if mnemonic.startswith("FP_") else "bp"
    instruction = instruction_set(shape, subcore)[mnemonic]
    return command_of(instruction.unit, instruction.evaluate(instruction.fill(operands)))


def fp_pass(layer: ConvLayer, shape: EngineShape, **where: Any) -> dict[str, int]:
    """The fields of the ConvCommand that computes conv_fp; for ``where`` see fp_operands."""
    return decoded("FP_CONV", IsaShape.of_engine(shape), fp_operands(layer, shape, **where))


def bp_passes(layer: ConvLayer, shape: EngineShape, **where: Any) -> Iterator[dict[str, int]]:
    """The fields of the commands that compute conv_bp; for ``where`` see bp_operands."""
    for operands in bp_operands(layer, shape, **where):
        yield decoded("BP_CONV", IsaShape.of_engine(shape), operands)


def wg_pass(layer: ConvLayer, *, lanes: int, pixels: int, **where: Any) -> dict[str, int]:
    """The fields of the WgCommand that computes dw; for ``where`` see wg_operands."""
    operands = wg_operands(layer, lanes=lanes, pixels=pixels, **where)
    return decoded("WG_CONV", IsaShape(lanes=lanes, pixels=pixels), operands)
