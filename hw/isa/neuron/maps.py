"""Maps of the element-wise instructions: operands, access, and the registers they go to."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from backspike.hw.isa.instruction import ONE, Access, MultiplyAdd, Operand
from backspike.hw.isa.operands import IsaShape, count, map_operands

__all__ = ["AREA", "ElementMap", "Grid", "last_lanes", "map_registers"]

AREA = (
    count("samples", "samples"),
    count("tiles", "tiles of channels"),
    count("window_rows", "windows of pooling, whole or not, one below the other: rows if none"),
    count("window_columns", "windows side by side: columns if none"),
)
"""Operands of the extent that all maps of an instruction have."""


def last_lanes(shape: IsaShape) -> Operand:
    return Operand("last_lanes", 1, shape.lanes, "channels in the last tile")


class Grid(enum.Enum):
    """Values that say how many rows a map has, and how many words a row."""

    PIXELS = ("rows", "columns")
    PIXEL_BITS = ("rows", "row_words")
    POOLED = ("pooled_rows", "pooled_columns")
    POOLED_BITS = ("pooled_rows", "pooled_words")
    # Of a vector operation, which knows no pooling: its windows are pixels.
    WINDOWS = ("window_rows", "window_columns")
    WINDOW_BITS = ("window_rows", "row_words")


@dataclass(frozen=True)
class ElementMap:
    """A map that an instruction has an engine read or write."""

    name: str
    what: str
    port: str
    """The engine's; its registers are those of :mod:`backspike.hw.isa.registers`."""
    sram: str
    grid: Grid
    when: tuple[tuple[str, int], ...] = ()
    """As of :class:`backspike.hw.isa.instruction.Access`."""
    writes: bool = False

    @property
    def operands(self) -> tuple[Operand, ...]:
        return map_operands(self.name, self.what, ("sample", "tile", "row"))

    @property
    def window(self) -> MultiplyAdd:
        """Words from a row of windows to the next, of a map with rows of pixels."""
        return MultiplyAdd(f"{self.name}_window", "pooling", f"{self.name}_row")

    def access(self, shape: IsaShape) -> Access:
        rows, words = self.grid.value
        return Access(
            self.sram,
            shape.size(self.sram),
            f"{self.name}_base",
            (
                ("samples", f"{self.name}_sample"),
                ("tiles", f"{self.name}_tile"),
                (rows, f"{self.name}_row"),
                (words, ONE),
            ),
            when=self.when,
            writes=self.writes,
        )

    @property
    def registers(self) -> dict[str, str]:
        if self.grid in (Grid.PIXELS, Grid.PIXEL_BITS):
            rows = {"window": "window", "row": "row"}
        else:
            rows = {"window": "row"}
        parts = {"base": "base", "sample": "sample", "tile": "tile", **rows}
        return {f"{self.port}_{part}": f"{self.name}_{value}" for part, value in parts.items()}


def map_registers(maps: Iterable[ElementMap]) -> dict[str, str]:
    return {register: value for each in maps for register, value in each.registers.items()}
