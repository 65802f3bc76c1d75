"""Which memories the soma and grad engines read and write, and when: one table for both."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.lib import data

from backspike.hw.arith.format import PSUM_BITS, Float
from backspike.hw.isa.neuron.command import GradCommand, SomaCommand, Source

__all__ = ["GRAD", "SOMA", "BitResult", "ElementInput", "ElementKind", "word_bits"]


@dataclass(frozen=True)
class ElementInput:
    """Something read for each pixel, or, by window, once for all pixels of a window."""

    memory: str
    source: Source
    in_step: str
    """When a step needs it: ``always``, with ``t_acc``, or with ``pooling``."""
    by_window: bool = False


@dataclass(frozen=True)
class BitResult:
    """A bit map that a step writes (pixel by pixel or pooled), or COMPARE, or both."""

    memory: str
    of_step: bool
    of_compare: bool
    pooled: bool = False


@dataclass(frozen=True)
class ElementKind:
    """What tells one element-wise engine from the other, its lanes aside."""

    name: str
    command: type[data.Struct]
    operands: tuple[ElementInput, ...]
    map_memory: str
    """Where a step writes its values."""
    bit_results: tuple[BitResult, ...]
    step_y: Source
    """What a step multiplies u by: the decay, or du (times the decay)."""
    step_low: str
    """Field of the settings that is the lower threshold of a step."""
    products: bool
    """Whether psums are sums of products, of which there are no bit planes."""

    def __str__(self) -> str:
        return self.name

    def psum_grid(self, format: Float) -> tuple[int, int]:
        """Bits and lsb of the psums in the conv SRAM."""
        if self.products:
            return format.product_psum_bits, format.product_lsb
        return format.psum_bits, format.lsb

    @property
    def bit_operand(self) -> ElementInput:
        """The operand that is a bit map."""
        (operand,) = (operand for operand in self.operands if operand.source is Source.BITS)
        return operand

    @property
    def word_operands(self) -> tuple[ElementInput, ...]:
        """The operands with a word a pixel."""
        return tuple(operand for operand in self.operands if operand.source is not Source.BITS)


def word_bits(source: Source, *, format: Float, lanes: int, pixels: int) -> int:
    """Bits of a word of the memory that a source lies in."""
    if source is Source.CONV:
        return PSUM_BITS * lanes
    return (pixels if source is Source.BITS else format.width) * lanes


SOMA = ElementKind(
    name="soma",
    command=SomaCommand,
    operands=(
        ElementInput("conv", Source.CONV, "always"),
        ElementInput("u", Source.U, "t_acc"),
        ElementInput("spike", Source.BITS, "t_acc"),
    ),
    map_memory="u",
    bit_results=(
        BitResult("spike", of_step=True, of_compare=True),
        BitResult("s_out", of_step=True, of_compare=False, pooled=True),
    ),
    step_y=Source.SCALAR,
    step_low="th_f",
    products=False,
)

GRAD = ElementKind(
    name="grad",
    command=GradCommand,
    operands=(
        ElementInput("conv", Source.CONV, "always", by_window=True),
        ElementInput("u", Source.U, "always"),
        ElementInput("du", Source.DU, "t_acc"),
        ElementInput("s", Source.BITS, "pooling", by_window=True),
    ),
    map_memory="du",
    bit_results=(BitResult("s", of_step=False, of_compare=True),),
    step_y=Source.DU,
    step_low="th_l",
    products=True,
)
