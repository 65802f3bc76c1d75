"""What a training step was given and made, all of it: what the hardware is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backspike.sim.model.number import Bits, Integers, Status, Values
from backspike.sim.model.update import F32, UpdateRule

__all__ = ["LayerRecord", "StepRecord"]


@dataclass(kw_only=True)
class LayerRecord:
    """One layer in one training step; maps have shape (t, n, y, x, channel)."""

    x: NDArray
    """What the layer read: spikes, or whole numbers sum of 2**(B-b) x_b with t = 1 or T."""
    w: F32
    """(m, c, r, s) masters, ``v`` momenta and ``w_stored`` = RN(w) that the step began with."""
    v: F32
    w_stored: Values
    psum_fp: Integers
    """t = 1 where x has t = 1."""
    u: Values
    s: Bits
    """Spikes before pooling."""
    s_out: Bits
    """Spikes after pooling: x of the next layer but for its shape."""
    psum_bp: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    """conv_bp as Grad reads it, of the shape of ``s_out``."""
    mask: Bits | None = None
    """fire, if the BP that made ``psum_bp`` was masked."""
    du: Values = field(default_factory=lambda: np.zeros(0))
    dw: F32 = field(default_factory=lambda: np.zeros(0, np.float32))
    w_new: F32 = field(default_factory=lambda: np.zeros(0, np.float32))
    """Masters after the update, with ``v_new`` and ``w_stored_new``."""
    v_new: F32 = field(default_factory=lambda: np.zeros(0, np.float32))
    w_stored_new: Values = field(default_factory=lambda: np.zeros(0))


@dataclass(kw_only=True)
class StepRecord:
    """A training step; maps of the loss have shape (n, 1, 1, m)."""

    layers: list[LayerRecord]
    rule: UpdateRule
    targets: Values
    scale: float
    """What the error is multiplied by: loss_scale / (N * T), rounded."""
    rates: Values
    gradient: Values
    """conv_bp of the last layer at every time step, before it goes onto the psum grid."""
    status: Status
    updated: bool
    """False if a status stopped the update."""

    @property
    def loss(self) -> float:
        """1/(2N) sum (rate - target)**2, for people to look at."""
        return float(((self.rates - self.targets) ** 2).sum() / (2 * len(self.rates)))
