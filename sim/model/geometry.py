"""Sizes of convolutions, and the windows that their kernels see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Geometry", "Padding", "windows"]

Padding = tuple[int, int, int, int]
"""Pixels at the (top, bottom, left, right)."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Sizes of a convolution: from input maps ``h_size x w_size`` to ``e_size x f_size``.

    Raises
    ------
    ValueError
        If no window fits the padded map, or a number is not positive (padding: negative).
    """

    h_size: int
    w_size: int
    r_size: int
    s_size: int
    stride: tuple[int, int] = (1, 1)
    padding: Padding = (0, 0, 0, 0)

    @classmethod
    def of(
        cls,
        size: tuple[int, ...],
        kernel: tuple[int, int],
        stride: int | tuple[int, int],
        padding: Padding,
    ) -> Geometry:
        """That of maps and kernels of (y, x) sizes; ``stride`` both ways if it is one number."""
        return cls(
            h_size=size[0],
            w_size=size[1],
            r_size=kernel[0],
            s_size=kernel[1],
            stride=(stride, stride) if isinstance(stride, int) else stride,
            padding=padding,
        )

    def __post_init__(self) -> None:
        if min(self.h_size, self.w_size, self.r_size, self.s_size, *self.stride) < 1:
            raise ValueError(
                f"map, kernel and stride must be at least 1, not {self.h_size}x{self.w_size}, "
                f"{self.r_size}x{self.s_size} and {self.stride}"
            )
        if len(self.padding) != 4 or min(self.padding) < 0:
            raise ValueError(
                f"padding must be four numbers of at least 0 (top, bottom, left, right), "
                f"not {self.padding!r}"
            )
        if self.padded[0] < self.r_size or self.padded[1] < self.s_size:
            raise ValueError(
                f"a kernel of {self.r_size}x{self.s_size} must fit the padded map, "
                f"not one of {self.padded[0]}x{self.padded[1]}"
            )

    @property
    def padded(self) -> tuple[int, int]:
        """Size of the input map with its padding."""
        top, bottom, left, right = self.padding
        return self.h_size + top + bottom, self.w_size + left + right

    @property
    def e_size(self) -> int:
        """Height of the output map."""
        return (self.padded[0] - self.r_size) // self.stride[0] + 1

    @property
    def f_size(self) -> int:
        """Width of the output map."""
        return (self.padded[1] - self.s_size) // self.stride[1] + 1

    def tap(self, r: int, s: int) -> tuple[slice, slice]:
        """Rows and columns of the padded map that kernel position (r, s) sees, output by output."""
        rows = slice(r, r + self.stride[0] * (self.e_size - 1) + 1, self.stride[0])
        columns = slice(s, s + self.stride[1] * (self.f_size - 1) + 1, self.stride[1])
        return rows, columns

    @property
    def inside(self) -> tuple[slice, slice]:
        """Rows and columns of the padded map that are the map itself."""
        top, _, left, _ = self.padding
        return slice(top, top + self.h_size), slice(left, left + self.w_size)


def windows(x: NDArray, geometry: Geometry) -> NDArray:
    """Float64 matrix (map * e * f, r * s * c): the inputs of every output pixel, 0 in the padding.

    ``x`` has shape (map, y, x, c).
    """
    g = geometry
    padded = np.zeros((x.shape[0], *g.padded, x.shape[-1]))
    padded[:, *g.inside] = x
    taps = np.empty((x.shape[0], g.e_size, g.f_size, g.r_size, g.s_size, x.shape[-1]))
    for r in range(g.r_size):
        for s in range(g.s_size):
            taps[:, :, :, r, s] = padded[:, *g.tap(r, s)]
    return taps.reshape(-1, g.r_size * g.s_size * x.shape[-1])
