"""Random convolutions for the FP and BP benches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pytest

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.words import pack_spikes, tiles_of
from backspike.hw.arith.format import Float
from backspike.hw.isa.conv.shape import EngineShape
from backspike.sim.model import round_values

__all__ = [
    "SHAPES",
    "Case",
    "Seen",
    "draw_case",
    "littered",
    "random_values",
    "under_tap",
]


SHAPES = [
    (EngineShape(lanes=4, pixels=8), 175, 1),
    (EngineShape(lanes=2, pixels=16, weight_words=2), 35, 2),
    # The smallest groups and ring there are, in an 8-bit format.
    (
        EngineShape(
            format=Float(5, 2),
            lanes=4,
            pixels=8,
            group_rows=1,
            group_tiles=7,
            ring_depth=16,
            weight_words=2,
        ),
        70,
        3,
    ),
    # A ring that one group fills.
    (
        EngineShape(
            format=Float(4, 3), lanes=4, pixels=4, group_rows=16, group_tiles=16, ring_depth=16
        ),
        35,
        4,
    ),
    # Full size, which the tests of the core have, too.
    pytest.param(EngineShape(lanes=16, pixels=16), 7, 5, marks=pytest.mark.slow),
]
"""Shapes of the engines under test, each with its number of cases and its seed."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a case tries, each drawn apart from the others."""

    layer: ConvLayer
    channels_in: int
    channels_out: int
    sparsity: float
    stall: int
    acc: bool
    special: float
    large: bool
    rows: str
    """Which rows strips are cut from: "e" (output rows, FP) or "h" (input rows, BP)."""
    strips: list[tuple[int, int]] | None

    def parts(self) -> list[tuple[ConvLayer, int, int]]:
        """The layer as a whole, or in strips: each with its first row of input and of output."""
        if not self.strips:
            return [(self.layer, 0, 0)]
        strip = _strip_of(self.layer, self.rows)
        return [(*strip(first, last), first) for first, last in self.strips]

    def weights(self, random: np.random.Generator, format: Float) -> np.ndarray:
        """Random weights (m, c, r, s)."""
        shape = (self.channels_out, self.channels_in, *self.layer.kernel)
        return self.values(random, shape, format, sparsity=0.1)

    def values(
        self,
        random: np.random.Generator,
        shape: tuple[int, ...],
        format: Float,
        *,
        sparsity: float,
    ) -> np.ndarray:
        """Random values, as large as the case has them, and as many NaN and infinite."""
        return random_values(
            random, shape, format, sparsity=sparsity, special=self.special, large=self.large
        )


def under_tap(layer: ConvLayer, r: int, s: int) -> tuple[slice, slice]:
    """Rows and columns of the padded map that lie under tap (r, s) of the kernel."""
    rows, columns = (layer.e - 1) * layer.stride + 1, (layer.f - 1) * layer.stride + 1
    return slice(r, r + rows, layer.stride), slice(s, s + columns, layer.stride)


class Seen:
    """Counts what has been tried, so that a bench can tell that it tried what it says."""

    def __init__(self) -> None:
        self._pairs: Counter = Counter()
        self._cases = 0

    def add(self, case: Case, **more: object) -> None:
        """A case that was run, with whatever else distinguishes it."""
        facts = {
            "kernel": case.layer.kernel[0],
            "stride": case.layer.stride,
            "sparsity": case.sparsity,
            "stalled": case.stall > 0,
            "acc": case.acc,
            "special": case.special > 0,
            "large": case.large,
            "strips": case.strips is not None,
            **more,
        }
        self._cases += 1
        self._pairs.update(combinations(sorted(facts.items()), 2))

    def check(self) -> None:
        """In a long run, every two values of different factors must have met."""
        if self._cases < 100:
            return
        values: dict[str, set] = {}
        for pair in self._pairs:
            for name, value in pair:
                values.setdefault(name, set()).add(value)
        common, frequent = {"kernel", "stride"}, {"acc", "sparsity", "stalled"}
        for one, other in combinations(sorted(values), 2):
            for a in values[one]:
                for b in values[other]:
                    # Kernel and stride take turns; rarer things need not meet every one of them.
                    if {one, other} & common and {one, other} - common - frequent:
                        continue
                    assert self._pairs[(one, a), (other, b)], f"{one} {a} never met {other} {b}"


def draw_case(
    random: np.random.Generator,
    index: int,
    lanes: int,
    *,
    rows: str,
    kernel: int | None = None,
    stride: int | None = None,
) -> Case:
    """A random case; kernels, strides and sparsities take turns, so that all of them meet.

    For ``rows`` see :class:`Case`.
    """
    kernel = kernel or (1, 2, 3, 5, 7, 4, 6)[index % 7]
    stride = stride or (1, 2, 3, 1, 2)[index // 7 % 5]
    kh, kw = kernel, kernel
    if random.random() < 0.2:
        kw = int(random.integers(1, 8))
    padding = tuple(int(p) for p in random.integers(0, max(kh, kw), 4))
    if random.random() < 0.1:
        padding = (int(kh), 0, int(kw) % 8, 7)
    connected = kernel == 1 and random.random() < 0.4
    if connected:  # fully connected: one row, a column for each sample and time step
        kw, padding = 1, (0, 0, 0, 0)
    low_h, low_w = max(1, kh - padding[0] - padding[1]), max(1, kw - padding[2] - padding[3])
    channels_in = int(random.integers(1, 4 * lanes + 1))
    channels_out = int(random.integers(1, 2 * lanes + 1))
    layer = ConvLayer(
        h=1 if connected else int(random.integers(low_h, low_h + 7)),
        w=int(random.integers(low_w, low_w + (23 if random.random() < 0.3 else 7))),
        kernel=(kh, kw),
        stride=stride,
        padding=padding,
        c_tiles=-(-channels_in // lanes),
        m_tiles=-(-channels_out // lanes),
        samples=int(random.integers(1, 3)),
        steps=int(random.integers(1, 3)),
    )
    cut = random.random() < 0.4
    return Case(
        layer=layer,
        channels_in=channels_in,
        channels_out=channels_out,
        sparsity=(0.0, 0.5, 0.9, 0.99, 1.0)[(index + index // 35) % 5],
        stall=int(random.choice([0, 0, 100, 200])),
        acc=bool(random.random() < 0.5),
        special=float(random.choice([0.0, 0.0, 0.02])),
        large=bool(random.random() < 0.25),
        rows=rows,
        strips=_strips(random, layer, rows) if cut else None,
    )


def _strip_of(layer: ConvLayer, rows: str):
    return layer.fp_strip if rows == "e" else layer.bp_strip


def _strips(
    random: np.random.Generator, layer: ConvLayer, rows: str
) -> list[tuple[int, int]] | None:
    """The layer's rows in two or three strips; None if one of them would see only padding."""
    count = getattr(layer, rows)
    cuts = sorted({0, count, *(int(cut) for cut in random.integers(0, count + 1, 2))})
    found = list(pairwise(cuts))
    strip = _strip_of(layer, rows)
    possible = len(found) > 1 and all(strip(first, last) for first, last in found)
    return found if possible else None


def littered(random: np.random.Generator, spikes, lanes: int, pixels: int):
    """Words of a spike map, with anything in the pixels behind the last one of a row."""
    words = pack_spikes(spikes, lanes, pixels)
    litter = random.integers(0, 256, words.shape, dtype=np.uint8)
    channels = tiles_of(spikes.shape[-1], lanes) * lanes
    read = pack_spikes(np.ones((*spikes.shape[:-1], channels), bool), lanes, pixels)
    return words | litter & ~read


def random_values(random, shape, format, *, sparsity=0.0, special=0.0, large=False):
    """Values of a format over many magnitudes, some zero, some NaN or infinite."""
    high = format.top if large else 2
    exponents = random.uniform(format.lsb, high, shape)
    values = np.exp2(exponents) * random.choice([-1.0, 1.0], shape)
    # Signs of zero matter: -0 takes no part, either.
    values = np.where(random.random(shape) < sparsity, random.choice([0.0, -0.0], shape), values)
    values = round_values(values, format)
    odd = random.choice([np.nan, np.inf, -np.inf], shape)
    return np.where(random.random(shape) < special, odd, values)
