"""Random walks of element-wise engines, and where each of their pixels lies, by plain loops."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from amaranth.lib import data

from backspike.hw.isa.neuron.command import LEVELS, Address, BitAddress
from backspike.hw.limits import ADDRESS_BITS

__all__ = ["Visit", "place", "random_command", "visits", "word_and_pixel"]


@dataclass(frozen=True)
class Visit:
    """A pixel of a walk: its indices in the order of LEVELS, and its place in its window."""

    indices: tuple[int, ...]
    opens: bool
    closes: bool
    whole: bool
    last_tile: bool


def visits(extent: dict[str, int]):
    """All pixels of a walk over ``extent``, the fields of an ElementExtent."""
    sizes = ("samples", "tiles", "window_rows", "window_columns")
    for outer in itertools.product(*(range(extent[size]) for size in sizes)):
        _, tile, row, column = outer
        cut = row == extent["window_rows"] - 1, column == extent["window_columns"] - 1
        rows = extent["last_rows"] if cut[0] else extent["pooling"]
        columns = extent["last_columns"] if cut[1] else extent["pooling"]
        for y, x in itertools.product(range(rows), range(columns)):
            yield Visit(
                (*outer, y, x),
                opens=(y, x) == (0, 0),
                closes=(y, x) == (rows - 1, columns - 1),
                whole=rows == columns == extent["pooling"],
                last_tile=tile == extent["tiles"] - 1,
            )


def place(address: dict, visit: Visit) -> int:
    """The number that an Address stands for at a pixel."""
    steps = sum(s * i for s, i in zip(address["stride"], visit.indices, strict=True))
    return (address["base"] + steps) % (1 << ADDRESS_BITS)


def word_and_pixel(address: dict, visit: Visit, pixels: int) -> tuple[int, int]:
    """The word of a bit map that a pixel lies in, and its place in the word."""
    row, column = place(address["row"], visit), place(address["column"], visit)
    return (row + column // pixels) % (1 << ADDRESS_BITS), column % pixels


def random_command(random, command, *, lanes: int, pooling: int) -> dict:
    """Fields of a SomaCommand or GradCommand: extent and addresses at random, no settings."""

    def number(least: int, most: int) -> int:
        return int(random.integers(least, most + 1))

    def address() -> dict:
        last = (1 << ADDRESS_BITS) - 1
        return {"base": number(0, last), "stride": [number(0, last) for _ in LEVELS]}

    fields: dict = {
        "extent": {
            "samples": number(1, 2),
            "tiles": number(1, 3),
            "window_rows": number(1, 3),
            "window_columns": number(1, 3),
            "pooling": pooling,
            "last_rows": number(1, pooling),
            "last_columns": number(1, pooling),
            "last_lanes": number(1, lanes),
        }
    }
    for name, field in data.Layout.cast(command):
        if field.shape is Address:
            fields[name] = address()
        elif field.shape is BitAddress:
            fields[name] = {"row": address(), "column": address()}
    return fields
