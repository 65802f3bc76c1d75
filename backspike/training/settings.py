"""What a training run depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TrainingSettings"]


def setting(default: float, what: str) -> Any:
    """A field of the settings with its default, and what the command line says of it."""
    return field(default=default, metadata={"what": what})


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What a training run depends on, beside the chip's storage format.

    Raises
    ------
    ValueError
        If a number is impossible.
    """

    seed: int = setting(0, "of the weights at the start and of the order of samples")
    epochs: int = setting(15, "times that all training samples are seen")
    batch: int = setting(32, "samples in a training step")
    lr: float = setting(0.1, "learning rate of the first step; falls to 0 by half a cosine")
    momentum: float = setting(0.9, "share of the last step that the next one keeps")
    loss_scale: float = setting(1024.0, "power of two that keeps gradients off the subnormals")
    th_l: float = setting(
        0.0,
        "lower end of the surrogate derivative's window [th_l, 2]; from the smallest positive "
        "number on, silent neurons (u exactly 0) cost BP nothing",
    )

    def __post_init__(self) -> None:
        for name, low in (("seed", 0), ("epochs", 1), ("batch", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, not {getattr(self, name)}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr must be a number above 0, not {self.lr}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, not {self.momentum}")
        if not (0 < self.loss_scale < math.inf and math.frexp(self.loss_scale)[0] == 0.5):
            raise ValueError(f"loss_scale must be a power of two, not {self.loss_scale}")
        if not -2 <= self.th_l <= 2:
            raise ValueError(f"th_l must be from -2 to 2, not {self.th_l}")
