"""Weight update (contract, point 7), in binary32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backspike.hw.arith.format import BINARY16, Float
from backspike.sim.model.number import Status, Values, settle

__all__ = ["UpdateRule", "Updated", "f32_add", "f32_multiply", "f32_subtract", "update"]

F32 = NDArray[np.float32]

F32_NAN = np.uint32(0x7FC00000).view(np.float32)
"""The one NaN that is made."""


def f32_add(a: F32, b: F32, status: Status) -> F32:
    """RN32(a + b)."""
    return _f32(np.add, a, b, status)


def f32_subtract(a: F32, b: F32, status: Status) -> F32:
    """RN32(a - b)."""
    return _f32(np.subtract, a, b, status)


def f32_multiply(a: F32, b: F32, status: Status) -> F32:
    """RN32(a * b), subnormal results included."""
    return _f32(np.multiply, a, b, status)


def _f32(operation: Callable[..., F32], a: F32, b: F32, status: Status) -> F32:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = operation(a, b, dtype=np.float32)
    special = ~np.isfinite(result)
    if special.any():
        is_nan = np.isnan(result)
        status.add(overflow=special & np.isfinite(a) & np.isfinite(b), invalid=is_nan)
        result = np.where(is_nan, F32_NAN, result)
    return result


@dataclass(frozen=True, kw_only=True)
class UpdateRule:
    """Operands of a weight update; each is rounded to binary32."""

    lr: float
    """Learning rate."""
    mu: float = 0.0
    """Momentum."""
    wd: float = 0.0
    """Weight decay."""
    k: float = 1.0
    """Scale of dw: undoes what the loss gradient carries."""


class Updated(NamedTuple):
    """What a weight update makes."""

    w: F32
    """binary32 masters."""
    v: F32
    """Momenta."""
    w_stored: Values
    """RN(w) in the storage format: what goes to the SRAMs."""


def update(
    w: F32, v: F32, dw: F32, rule: UpdateRule, *, status: Status, format: Float = BINARY16
) -> Updated:
    """One step of stochastic gradient descent with momentum, each operation rounded to binary32::

        g = k * dw;  g = g + wd * w;  v = mu * v + g;  w = w - lr * v

    Elements are independent of each other, so any shape goes. The caller leaves the step out if a
    status was set before.
    """
    lr, mu, wd, k = (np.array(x, np.float32) for x in (rule.lr, rule.mu, rule.wd, rule.k))
    g = f32_multiply(k, dw, status)
    g = f32_add(g, f32_multiply(wd, w, status), status)
    v = f32_add(f32_multiply(mu, v, status), g, status)
    w = f32_subtract(w, f32_multiply(lr, v, status), status)
    return Updated(w, v, settle(w.astype(np.float64), format, status))
