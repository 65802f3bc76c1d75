"""The pipelines beside the arrays, element by element: soma, grad and vector operations (point 6).

Every operation is one binary operation of the storage format, rounded, in the order in which the
equations (docs/arithmetic.md) write it; firing, pooling and (1 - s) select, and what is deselected
is +0. RN rounds to the storage format, and ``a ? b : c`` selects b or c.

An operation sets statuses if its result is used: a deselected one, and a comparison, set none.
Channels from ``m_size`` on come out as +0 and 0 whatever goes in, and set no status; neither may a
caller let their psums (``conv[..., :m_size]`` is what counts when they are read).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backspike.hw.arith.format import BINARY16, Float
from backspike.sim.model.number import Bits, Status, Values, settle

__all__ = [
    "Soma",
    "add",
    "compare",
    "fire",
    "grad",
    "multiply",
    "pool_spikes",
    "soma",
    "subtract",
    "unpool",
]


def add(a: NDArray, b: NDArray | float, *, status: Status, format: Float = BINARY16) -> Values:
    """RN(a + b); also the vector unit's ``accumulate``, with ``a`` what the destination held."""
    with np.errstate(invalid="ignore"):
        return settle(np.asarray(a, np.float64) + b, format, status)


def subtract(
    a: NDArray,
    b: NDArray | float,
    *,
    status: Status,
    format: Float = BINARY16,
    used: Bits | None = None,
) -> Values:
    """RN(a - b); results that are not ``used`` set no status."""
    with np.errstate(invalid="ignore"):
        return settle(np.asarray(a, np.float64) - b, format, status, used)


def multiply(
    a: NDArray,
    b: NDArray | float,
    *,
    status: Status,
    format: Float = BINARY16,
    used: Bits | None = None,
) -> Values:
    """RN(a * b), with a number for ``b`` the vector unit's ``scale``; ``used`` as in subtract."""
    with np.errstate(invalid="ignore"):
        return settle(np.asarray(a, np.float64) * b, format, status, used)


def compare(x: Values, low: float, high: float) -> Bits:
    """low <= x <= high; false for NaN. Sets no status."""
    return (x >= low) & (x <= high)


def fire(u: Values, *, th_l: float, th_r: float) -> Bits:
    """The rectangular surrogate derivative: th_l <= u <= th_r."""
    return compare(u, th_l, th_r)


def _channels(x: NDArray, m_size: int | None) -> NDArray:
    """The channels that count."""
    return x if m_size is None else x[..., :m_size]


def _with_silent(x: NDArray, channels: int) -> NDArray:
    """``x`` with channels of +0 or 0 behind its own."""
    missing = channels - x.shape[-1]
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)]) if missing else x


class Soma(NamedTuple):
    """What soma makes of a time step."""

    u: Values
    """(..., y, x, m) membrane potentials."""
    s: Bits
    """(..., y, x, m) spikes, before pooling."""
    s_out: Bits
    """(..., y // pool, x // pool, m) spikes after pooling: what the next layer reads."""


def soma(
    conv_fp: Values,
    u_prev: Values | None = None,
    s_prev: NDArray | None = None,
    *,
    alpha: float,
    th_f: float,
    status: Status,
    pool: int = 1,
    m_size: int | None = None,
    t_acc: bool = True,
    format: Float = BINARY16,
) -> Soma:
    """The potentials and spikes of time step t, from those of the step before it::

        carried  = t_acc and not s[t-1] ? RN(alpha * u[t-1]) : +0
        u[t]     = RN(carried + conv_fp[t])
        s[t]     = u[t] >= th_f
        s_out[t] = any s[t] in the pooling window

    ``u_prev`` and ``s_prev`` are u[t-1] and s[t-1]; they are not read with ``t_acc`` false. All
    arrays have shape (..., y, x, m). ``pool`` is the size and stride of max-pooling.
    """
    channels = conv_fp.shape[-1]
    carried: Values | float = 0.0
    if t_acc:
        if u_prev is None or s_prev is None:
            raise ValueError("u_prev and s_prev must be given unless t_acc is false, not None")
        silent = ~_channels(np.asarray(s_prev, bool), m_size)
        u_prev = _channels(u_prev, m_size)
        decayed = multiply(u_prev, alpha, status=status, format=format, used=silent)
        carried = np.where(silent, decayed, 0.0)
    u = add(_channels(conv_fp, m_size), carried, status=status, format=format)
    s = u >= th_f
    s_out = pool_spikes(s, pool)
    return Soma(_with_silent(u, channels), _with_silent(s, channels), _with_silent(s_out, channels))


def grad(
    conv_bp: Values,
    du_next: Values | None,
    u: Values,
    *,
    alpha: float,
    th_f: float,
    th_l: float,
    th_r: float,
    status: Status,
    pool: int = 1,
    m_size: int | None = None,
    t_acc: bool = True,
    format: Float = BINARY16,
) -> Values:
    """du of time step t, of shape (..., y, x, m), from that of the step after it::

        s[t]    = u[t] >= th_f
        fire[t] = th_l <= u[t] <= th_r
        p       = t_acc ? RN(alpha * du[t+1]) : +0
        q       = t_acc ? RN(p * u[t]) : +0
        ds[t]   = RN((chosen ? conv_bp[t] : +0) - q)
        du[t]   = RN((s[t] ? +0 : p) + (fire[t] ? ds[t] : +0))

    ``du_next`` is du[t+1]; it is not read with ``t_acc`` false. ``conv_bp`` has the size of the
    pooled map; :func:`unpool` says which pixels are chosen.
    """
    channels = u.shape[-1]
    u = _channels(u, m_size)
    s, active = u >= th_f, fire(u, th_l=th_l, th_r=th_r)
    p: Values | float = 0.0
    q: Values | float = 0.0
    if t_acc:
        if du_next is None:
            raise ValueError("du_next must be given unless t_acc is false, not None")
        du_next = _channels(du_next, m_size)
        p = multiply(du_next, alpha, status=status, format=format, used=active | ~s)
        q = multiply(p, u, status=status, format=format, used=active)
    conv = unpool(_channels(conv_bp, m_size), s, pool)
    ds = subtract(conv, q, status=status, format=format, used=active)
    du = add(np.where(s, 0.0, p), np.where(active, ds, 0.0), status=status, format=format)
    return _with_silent(du, channels)


def _pool_windows(x: NDArray, pool: int) -> NDArray:
    """(..., y // pool, x // pool, m, pool * pool): row-major windows; partial ones are left out."""
    *lead, height, width, channels = x.shape
    rows, columns = height // pool, width // pool
    if rows < 1 or columns < 1:
        raise ValueError(f"pool must be from 1 to the map's size {height}x{width}, not {pool}")
    x = x[..., : rows * pool, : columns * pool, :]
    x = x.reshape(*lead, rows, pool, columns, pool, channels)
    x = np.moveaxis(x, (-4, -2), (-2, -1))
    return x.reshape(*lead, rows, columns, channels, pool * pool)


def pool_spikes(s: Bits, pool: int) -> Bits:
    """Max-pooling of spikes, an OR, with windows of pool x pool that do not overlap.

    Rows and columns left over at the bottom and right belong to no window.
    """
    return s if pool == 1 else np.asarray(_pool_windows(s, pool).any(axis=-1))


def unpool(conv_bp: Values, s: Bits, pool: int) -> Values:
    """Gradient of max-pooling: it goes to a window's first spiking input, else to its first.

    First is meant in row-major order. Inputs that are not chosen, or in no window, get +0. Shapes:
    ``s`` (..., y, x, m), ``conv_bp`` (..., y // pool, x // pool, m).
    """
    if pool == 1:
        return conv_bp
    chosen = _pool_windows(s, pool).argmax(axis=-1)  # the first of equals
    if conv_bp.shape != chosen.shape:
        raise ValueError(f"conv_bp must have the shape {chosen.shape}, not {conv_bp.shape}")
    full = np.zeros(s.shape)
    rows, columns = conv_bp.shape[-3:-1]
    for i in range(pool * pool):
        inputs = (
            ...,
            slice(i // pool, rows * pool, pool),
            slice(i % pool, columns * pool, pool),
            slice(None),
        )
        full[inputs] = np.where(chosen == i, conv_bp, 0.0)
    return full
