"""Convolutions as the contract defines them: one exact integer sum (psum), rounded when read.

Maps have shape ``(..., y, x, channel)``, with any leading axes (time steps, samples); weights have
shape ``(m, c, r, s)``. ``stride`` is one number or (vertical, horizontal); ``padding`` is (top,
bottom, left, right). A fully connected layer is a 1x1 convolution on maps of 1x1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backspike.hw.arith.format import BINARY16, BINARY32, BP_TERMS_BITS, FP_TERMS_BITS, Float
from backspike.sim.model import fast
from backspike.sim.model.geometry import Geometry, Padding, windows
from backspike.sim.model.number import (
    FLOAT64_BITS,
    Bits,
    Integers,
    Status,
    Values,
    psum_nan,
    read_psum,
)
from backspike.sim.model.update import f32_add

__all__ = [
    "add_dw",
    "bp_sums",
    "plain_bp_sums",
    "psum_bp",
    "psum_fp",
    "psum_wg",
    "read_bp",
    "read_fp",
    "read_wg",
]


def exact_matmul(a: Values, b: Values, largest: int) -> Integers:
    """Product of matrices of integers held as float64: by BLAS while it is exact, else in int64.

    ``a`` holds 0 to ``largest``. Every partial sum in float64 is exact while the sum of magnitudes
    stays below 2**53.
    """
    if largest * np.abs(b).sum(axis=0).max(initial=0.0) < 2.0**FLOAT64_BITS:
        return (a @ b).astype(np.int64)
    return a.astype(np.int64) @ b.astype(np.int64)


def grid_integers(values: Values, lsb: int) -> tuple[Values, Bits]:
    """Finite values as integers (in float64) in units of 2**lsb, others as 0; and the others."""
    special = ~np.isfinite(values)
    return np.ldexp(np.where(special, 0.0, values), -lsb), special


def finish(psum: Integers, bad: Bits | None, acc: Integers | None, bits: int) -> Integers:
    """Join a new sum with what ``psum_acc`` finds: the reserved integer wins.

    Raises
    ------
    ValueError
        If the sum leaves the psum: the chain has too many terms.
    """
    nan = psum_nan(bits)
    if acc is not None:
        if acc.shape != psum.shape:
            raise ValueError(f"acc must have the shape {psum.shape}, not {acc.shape}")
        total = np.where(acc == nan, 0, acc) + psum
        # Same signs in, other sign out: past 64 bits. Then the narrower limit of the format.
        wrong = ((acc ^ total) & (psum ^ total)) < 0
        wrong |= (total <= nan) | (total > -nan - 1)
        if np.any(wrong & (acc != nan)):
            raise ValueError(f"a chain of sums must stay within {bits} bits, and this one does not")
        psum = np.where(acc == nan, nan, total)
    return psum if bad is None else np.where(bad, nan, psum)


def check_terms(what: str, terms: int, limit_bits: int) -> None:
    """Raise ValueError if an instruction has more terms than its psum is made for."""
    if terms > 1 << limit_bits:
        raise ValueError(
            f"a sum of {what} must have at most 2**{limit_bits} = {1 << limit_bits} terms, "
            f"not {terms}"
        )


def psum_fp(
    x: NDArray,
    w: Values,
    *,
    status: Status,
    stride: int | tuple[int, int] = 1,
    padding: Padding = (0, 0, 0, 0),
    acc: Integers | None = None,
    format: Float = BINARY16,
) -> Integers:
    """Exact sums of FP, in units of 2**format.lsb: sum of w * x over c, r, s (contract, point 3).

    Parameters
    ----------
    x : (..., y, x, c)
        Whole numbers: spikes (0, 1), or inputs as sum of 2**(B-b) x_b over the bit planes b = 0..B.
        A single plane of such an input is x_b * 2**(B-b).
    w : (m, c, r, s)
        Value array.
    acc : (..., e, f, m)
        Old psums (``psum_acc = 1``).

    Returns
    -------
    (..., e, f, m) int64; -2**(format.psum_bits-1) where a NaN or infinity took part (x not 0),
    which sets invalid, or where ``acc`` held it, which does not.

    Raises
    ------
    ValueError
        If shapes do not match or a sum may have more than 2**17 terms.
    """
    x, w = np.asarray(x), np.asarray(w, dtype=np.float64)
    if x.shape[-1] != w.shape[1]:
        raise ValueError(f"weights must have {x.shape[-1]} input channels, not {w.shape[1]}")
    m, c, r, s = w.shape
    g = Geometry.of(x.shape[-3:-1], (r, s), stride, padding)
    if x.min(initial=0) < 0:
        raise ValueError(f"inputs of FP must be whole numbers from 0, not {x.min()}")
    largest = int(x.max(initial=1))
    check_terms("FP", c * r * s * largest, FP_TERMS_BITS)
    inputs = windows(x.reshape(-1, *x.shape[-3:]), g)
    integers, special = grid_integers(w, format.lsb)
    shape = (*x.shape[:-3], g.e_size, g.f_size, m)
    psum = exact_matmul(inputs, _as_matrix(integers), largest).reshape(shape)
    bad = None
    if special.any():
        bad = ((inputs != 0).astype(np.float64) @ _as_matrix(special) != 0).reshape(shape)
        status.add(invalid=bad)
    return finish(psum, bad, acc, format.psum_bits)


def _as_matrix(w: NDArray) -> Values:
    """Weights (m, c, r, s) as the matrix (r * s * c, m) that windows are multiplied by."""
    return w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0]).astype(np.float64)


def psum_bp(
    du: Values,
    w: Values,
    *,
    size: tuple[int, int],
    status: Status,
    stride: int | tuple[int, int] = 1,
    padding: Padding = (0, 0, 0, 0),
    mask: NDArray | None = None,
    acc: Integers | None = None,
    format: Float = BINARY16,
) -> Integers:
    """Exact sums of BP, in units of 2**format.product_lsb: sum of T(du * w) over m, r, s (point 4).

    Parameters
    ----------
    du : (..., e, f, m)
        Value array: gradients of the layer after, whose convolution ``w``, ``stride`` and
        ``padding`` describe.
    w : (m, c, r, s)
        Value array, as FP has it: not transposed, not rotated.
    size : (y size, x size)
        Of the map that the convolution read.
    mask : (..., y, x, c)
        fire of the lanes, or None for no mask. Where it is 0 the psum is 0, or as ``acc`` has it,
        and no status is set.
    acc : (..., y, x, c)
        Old psums (``psum_acc = 1``).

    Returns
    -------
    (..., y, x, c) int64; -2**(format.product_psum_bits-1) where a NaN or infinity took part (du not
    +-0; sets invalid), where a product of finite operands was 2**format.top or more (sets
    overflow), or where ``acc`` held it.

    Raises
    ------
    ValueError
        If shapes do not match or a sum may have more than 2**15 terms.
    """
    du, w = np.asarray(du, dtype=np.float64), np.asarray(w, dtype=np.float64)
    m, c, r_size, s_size = w.shape
    g = Geometry.of(size, (r_size, s_size), stride, padding)
    if du.shape[-3:] != (g.e_size, g.f_size, m):
        raise ValueError(f"du must have maps of {(g.e_size, g.f_size, m)}, not {du.shape[-3:]}")
    taps = -(-r_size // g.stride[0]) * -(-s_size // g.stride[1])
    check_terms("BP", m * taps, BP_TERMS_BITS)
    maps = du.reshape(-1, *du.shape[-3:])
    shape = (*du.shape[:-3], *size, c)
    psum, off_grid, special = bp_sums(maps, w, g, format)
    psum, off_grid, special = psum.reshape(shape), off_grid.reshape(shape), special.reshape(shape)
    if mask is not None:
        active = np.asarray(mask).astype(bool)
        psum, off_grid, special = np.where(active, psum, 0), off_grid & active, special & active
    status.add(overflow=off_grid, invalid=special)
    return finish(psum, off_grid | special, acc, format.product_psum_bits)


def bp_sums(
    du: Values, w: Values, geometry: Geometry, format: Float
) -> tuple[Integers, Bits, Bits]:
    """Sums of (map, e, f, m) gradients, and where a product was off the grid or operands special.

    The sums count such products as 0.
    """
    with np.errstate(invalid="ignore"):
        largest = np.abs(du).max(initial=0.0) * np.abs(w).max(initial=0.0)
    if largest < 2.0**format.top:  # false for NaN: nothing can go wrong here
        psum = fast.bp_sums(du, w, geometry, format.product_lsb)
        nowhere = np.zeros(psum.shape, dtype=bool)
        return psum, nowhere, nowhere
    return plain_bp_sums(du, w, geometry, format)


def plain_bp_sums(
    du: Values, w: Values, geometry: Geometry, format: Float
) -> tuple[Integers, Bits, Bits]:
    """The same in plain numpy, for any operands."""
    g = geometry
    shape = (du.shape[0], *g.padded, w.shape[1])
    psum = np.zeros(shape, dtype=np.int64)
    off_grid, special = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    w_finite, du_finite = np.isfinite(w), np.isfinite(du)
    w_safe, du_safe = np.where(w_finite, w, 0.0), np.where(du_finite, du, 0.0)
    for r in range(g.r_size):
        for s in range(g.s_size):
            tap = (slice(None), *g.tap(r, s))
            for m in range(w.shape[0]):
                product = du_safe[..., m, None] * w_safe[m, :, r, s]
                large = np.abs(product) >= 2.0**format.top
                on_grid = np.ldexp(np.where(large, 0.0, product), -format.product_lsb)
                # astype truncates toward zero.
                psum[tap] += on_grid.astype(np.int64)
                off_grid[tap] |= large
                finite = du_finite[..., m, None] & w_finite[m, :, r, s]
                special[tap] |= (du[..., m, None] != 0) & ~finite
    inside = (slice(None), *g.inside)
    return psum[inside], off_grid[inside], special[inside]


def psum_wg(
    x: NDArray,
    du: Values,
    *,
    kernel: tuple[int, int],
    status: Status,
    stride: int | tuple[int, int] = 1,
    padding: Padding = (0, 0, 0, 0),
    format: Float = BINARY16,
) -> Integers:
    """Exact sums of one WG instruction, in units of 2**format.lsb: sum of du * x (point 5).

    Parameters
    ----------
    x : (..., y, x, c)
        Spikes or one bit plane: 0 and 1. Leading axes are broadcast to those of ``du``, so that an
        input that is the same at every time step is given once.
    du : (..., e, f, m)
        Value array.
    kernel : (r size, s size)

    Returns
    -------
    (m, c, r, s) int64: sums over all leading axes and pixels; -2**(format.psum_bits-1) where a du
    that is NaN or infinite took part (x = 1), which sets invalid.

    Raises
    ------
    ValueError
        If shapes do not match or a sum may have more than 2**17 terms.
    """
    x, du = np.asarray(x), np.asarray(du, dtype=np.float64)
    g = Geometry.of(x.shape[-3:-1], kernel, stride, padding)
    if du.shape[-3:-1] != (g.e_size, g.f_size):
        raise ValueError(
            f"du must have maps of {g.e_size}x{g.f_size}, not {du.shape[-3]}x{du.shape[-2]}"
        )
    if x.min(initial=0) < 0 or x.max(initial=0) > 1:
        raise ValueError(f"inputs of WG must be 0 or 1, not {x.min()} to {x.max()}")
    check_terms("WG", int(np.prod(du.shape[:-1])), FP_TERMS_BITS)
    x = np.broadcast_to(x, (*du.shape[:-3], *x.shape[-3:]))
    inputs = windows(x.reshape(-1, *x.shape[-3:]), g)
    integers, special = grid_integers(du.reshape(-1, du.shape[-1]), format.lsb)
    psum = exact_matmul(inputs.T, integers, 1)
    if special.any():
        bad = inputs.T @ special.astype(np.float64) != 0
        status.add(invalid=bad)
        psum = finish(psum, bad, None, format.psum_bits)
    return psum.reshape(*kernel, x.shape[-1], -1).transpose(3, 2, 0, 1).copy()


def read_fp(psum: Integers, *, status: Status, planes: int = 0, format: Float = BINARY16) -> Values:
    """conv_fp: FP psums rounded to ``format``; ``planes`` is B of the input's bit planes 0..B."""
    return read_psum(
        psum, lsb=format.lsb, bits=format.psum_bits, scale=planes, format=format, status=status
    )


def read_bp(psum: Integers, *, status: Status, format: Float = BINARY16) -> Values:
    """conv_bp: BP psums rounded to ``format``."""
    return read_psum(
        psum,
        lsb=format.product_lsb,
        bits=format.product_psum_bits,
        format=format,
        status=status,
    )


def read_wg(
    psum: Integers, *, status: Status, plane: int = 0, format: Float = BINARY16
) -> NDArray[np.float32]:
    """dw of one WG instruction: its psums times 2**-plane, rounded to binary32."""
    values = read_psum(
        psum, lsb=format.lsb, bits=format.psum_bits, scale=plane, format=BINARY32, status=status
    )
    return values.astype(np.float32)


def add_dw(old: ArrayLike, new: ArrayLike, *, status: Status) -> NDArray[np.float32]:
    """``dw_acc = 1``: one binary32 addition."""
    return f32_add(np.asarray(old, np.float32), np.asarray(new, np.float32), status)
