"""Random walks over an input map, and what each window of them holds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from backspike.hw.limits import ADDRESS_BITS, TAP_MAX

__all__ = ["MEMORY", "Input", "Walk", "draw"]

MEMORY = 1 << ADDRESS_BITS


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A pass over an input map; sizes as in :class:`backspike.hw.isa.conv.command.ConvCommand`."""

    out_tiles: int = 1
    in_groups: int = 1
    group_tiles: int = 1
    last_tiles: int = 1
    row_groups: int = 1
    group_rows: int = 1
    last_rows: int = 1
    kernel_w: int
    samples: int = 1
    steps: int = 1
    in_h: int
    in_w: int
    out_h: int
    out_w: int
    stride: int = 1
    pad_top: int = 0
    pad_left: int = 0

    @property
    def tiles(self) -> int:
        return (self.in_groups - 1) * self.group_tiles + self.last_tiles

    def segments(self, pixels: int) -> int:
        """Segments of a row that its windows reach, at least one."""
        reach = (self.out_w - 1) * self.stride + self.kernel_w - self.pad_left
        return -(-max(1, min(reach, self.in_w)) // pixels)

    def windows(self, image):
        """Windows of image[tile, sample, step] in order: indices of the loops, and its entries.

        These are pixels, or None outside of the map.
        """
        for index in itertools.product(
            range(self.out_tiles),
            range(self.in_groups),
            range(self.row_groups),
            range(self.samples),
            range(self.steps),
            range(self.out_h),
            range(self.out_w),
        ):
            _, group, row_group, sample, step, y, x = index
            tiles = self.last_tiles if group == self.in_groups - 1 else self.group_tiles
            rows = self.last_rows if row_group == self.row_groups - 1 else self.group_rows
            window = []
            for tile, r, s in itertools.product(range(tiles), range(rows), range(self.kernel_w)):
                row = y * self.stride + row_group * self.group_rows + r - self.pad_top
                column = x * self.stride + s - self.pad_left
                inside = 0 <= row < self.in_h and 0 <= column < self.in_w
                map_ = image[group * self.group_tiles + tile, sample, step]
                window.append(int(map_[row, column]) if inside else None)
            yield index, window


def draw(random, *, group_rows: int, group_tiles: int) -> Walk:
    """A walk that fits a generator of these settings.

    Its maps are often smaller than the kernel, or barely larger.
    """

    def one(low, high):
        return int(random.integers(low, high, endpoint=True))

    kernel_w = one(1, min(TAP_MAX, group_tiles))
    held = min(group_rows, group_tiles // kernel_w)
    tiles = one(1, min(3, held))
    rows = one(1, min(4, held // tiles))
    stride = one(1, 3) if random.random() < 0.8 else TAP_MAX
    outer = ["out_tiles", "in_groups", "row_groups", "samples", "steps"]
    return Walk(
        **{name: 2 for name in random.choice(outer, 2, replace=False)},
        group_tiles=tiles,
        last_tiles=one(1, tiles),
        group_rows=rows,
        last_rows=one(1, rows),
        kernel_w=kernel_w,
        in_h=one(1, 5),
        in_w=one(1, 11),
        out_h=one(1, 4),
        out_w=one(1, 7),
        stride=stride,
        pad_top=one(0, 3) if random.random() < 0.8 else TAP_MAX,
        pad_left=one(0, kernel_w) if random.random() < 0.8 else TAP_MAX,
    )


class Input:
    """A map in a memory, laid out with gaps: words by address, and the strides of the command."""

    def __init__(self, walk: Walk, random, *, bits: int, pixels: int, density: float = 1.0):
        shape = (walk.tiles, walk.samples, walk.steps, walk.in_h, walk.in_w)
        self.image = random.integers(0, 1 << bits, shape) * (random.random(shape) < density)
        # One word a segment, or (of single bits) the first of as many words as it has pixels.
        per_segment = 1 if bits > 1 else pixels
        segments = walk.segments(pixels)
        row = segments * per_segment + int(random.integers(0, 4))
        order = random.permutation(4)
        sizes = np.array([walk.tiles, walk.samples, walk.steps, walk.in_h])
        strides = np.zeros(4, dtype=int)
        reach = row
        for axis in order:
            strides[axis] = reach
            reach = reach * int(sizes[axis]) + int(random.integers(0, 4))
        base = int(random.integers(0, MEMORY))
        self.strides = {
            name: int(stride)
            for name, stride in zip(("tile", "sample", "step", "row"), strides, strict=True)
        }
        self.base = base
        self.words = {}
        for index in np.ndindex(*sizes):
            for segment in range(segments):
                held = self.image[index][segment * pixels : (segment + 1) * pixels]
                # What lies behind a row in its last word is anything.
                filled = np.concatenate([held, random.integers(0, 1 << bits, pixels - len(held))])
                address = base + int(np.dot(index, strides)) + segment * per_segment
                self.words[address % MEMORY] = sum(
                    int(pixel) << bits * i for i, pixel in enumerate(filled)
                )

    def command(self, walk: Walk, pixels: int) -> dict[str, int]:
        fields = {**vars(walk), "row_segments": walk.segments(pixels)}
        row = self.strides["row"]
        fields |= {f"in_{name}": stride for name, stride in self.strides.items()}
        fields |= {
            "in_base": self.base - walk.pad_top * row,
            "in_group": walk.group_tiles * self.strides["tile"],
            "in_row_group": walk.group_rows * row,
            "in_out_row": walk.stride * row,
        }
        return {
            name: value % MEMORY if name.startswith("in_") else value
            for name, value in fields.items()
        }
