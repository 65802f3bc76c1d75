"""Operands that instructions have in common, what bounds them, and the registers they go to."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.config import ArrayConfig, ChipConfig, DramConfig
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.isa.instruction import Operand
from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS, TAP_MAX

__all__ = [
    "ADDRESS_MAX",
    "COUNT_MAX",
    "IsaShape",
    "choices",
    "code",
    "count",
    "flag",
    "map_operands",
    "names",
    "numbered",
    "same",
    "stride",
    "tap",
]

COUNT_MAX = (1 << COUNT_BITS) - 1
ADDRESS_MAX = (1 << ADDRESS_BITS) - 1


@dataclass(frozen=True, kw_only=True)
class IsaShape:
    """What the bounds of operands depend on; by default, what a core has by default."""

    format: Float = BINARY16
    lanes: int = ArrayConfig.lanes
    pixels: int = ArrayConfig.spike_pixels
    group_tiles: int = ArrayConfig.group_tiles
    group_rows: int = ArrayConfig.group_rows
    tile_words: int = ArrayConfig.lanes // ArrayConfig.weight_words
    bus_bytes: int = DramConfig.bus_bits // 8
    words: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Words of each SRAM by its setting; 2**16 for one that is not named."""

    @classmethod
    def from_config(cls, config: ChipConfig) -> Self:
        """The shape of a core of ``config``."""
        return dataclasses.replace(
            cls.of_engine(EngineShape.from_config(config)),
            bus_bytes=config.dram.bus_bits // 8,
            words={name: size.words for name, size in config.srams.items()},
        )

    @classmethod
    def of_engine(cls, shape: EngineShape) -> Self:
        """Of an engine by itself, whose memories have all the words that an address reaches."""
        return cls(
            format=shape.format,
            lanes=shape.lanes,
            pixels=shape.pixels,
            group_tiles=shape.group_tiles,
            group_rows=shape.group_rows,
            tile_words=shape.tile_words,
        )

    def size(self, sram: str) -> int:
        """Words of an SRAM."""
        return self.words.get(sram, ADDRESS_MAX + 1)


def flag(name: str, what: str) -> Operand:
    """Yes or no."""
    return Operand(name, 0, 1, what)


def count(name: str, what: str, low: int = 1) -> Operand:
    """How often a loop runs."""
    return Operand(name, low, COUNT_MAX, what)


def tap(name: str, what: str, low: int = 0) -> Operand:
    """A size in pixels that a kernel, a stride or a padding may have."""
    return Operand(name, low, TAP_MAX, what)


def stride(name: str, what: str) -> Operand:
    """Words from one item to the next."""
    return Operand(name, -ADDRESS_MAX, ADDRESS_MAX, what)


def code(name: str, what: str, bits: int) -> Operand:
    """Bits that say something by themselves: a value of a format, an address in DRAM."""
    return Operand(name, 0, (1 << bits) - 1, what)


def map_operands(name: str, what: str, strides: Iterable[str]) -> tuple[Operand, ...]:
    """Base and strides of a map."""
    return (
        Operand(f"{name}_base", 0, ADDRESS_MAX, f"first word of {what}"),
        *(stride(f"{name}_{item}", f"words from one {item} to the next") for item in strides),
    )


def choices(members: Iterable[enum.Enum]) -> str:
    """What the values of an operand mean: members of an enumeration, or all of it."""
    return ", ".join(f"{item.value} {item.name}" for item in members)


def numbered(things: Iterable[str]) -> str:
    """What the values of an operand mean: places in a list."""
    return ", ".join(f"{number} {thing}" for number, thing in enumerate(things))


def names(operands: Iterable[Operand]) -> tuple[str, ...]:
    """Their names."""
    return tuple(operand.name for operand in operands)


def same(*registers: str, **others: str) -> dict[str, str]:
    """Registers that get the operand or value of the same name, and others."""
    return {**{name: name for name in registers}, **others}
