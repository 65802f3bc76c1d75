"""What a training step was given and made, all of it: for the replay through the hardware."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hw.arith.format import FP16, Float
from sim.model.number import Bits, Integers, Status, Values, decode, encode
from sim.model.update import F32, UpdateRule

__all__ = ["LayerRecord", "StepRecord", "load_arrays", "save_arrays"]

VALUES = {"w_stored", "u", "du", "w_stored_new", "targets", "rates", "gradient"}
"""Value arrays: in a file they are codes of the storage format."""


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

    def save(self, path: Path, format: Float = FP16) -> None:
        """Write an .npz file, all or nothing."""
        arrays = _arrays(self, format)
        for index, layer in enumerate(self.layers):
            arrays |= _arrays(layer, format, f"{index}.")
        rest = {
            "format": dataclasses.asdict(format),
            "rule": dataclasses.asdict(self.rule),
            "status": dataclasses.asdict(self.status),
            "scale": self.scale,
            "updated": self.updated,
            "layers": len(self.layers),
        }
        save_arrays(path, arrays, rest)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        arrays, rest = load_arrays(path)
        format = Float(**rest["format"])
        layers: list[dict[str, Any]] = [{} for _ in range(rest["layers"])]
        whole: dict[str, Any] = {}
        for name, array in arrays.items():
            index, _, leaf = name.rpartition(".")
            value = decode(array, format) if leaf in VALUES else array
            (layers[int(index)] if index else whole)[leaf] = value
        return cls(
            layers=[LayerRecord(**layer) for layer in layers],
            rule=UpdateRule(**rest["rule"]),
            status=Status(**rest["status"]),
            scale=rest["scale"],
            updated=rest["updated"],
            **whole,
        )


def _arrays(record: Any, format: Float, prefix: str = "") -> dict[str, NDArray]:
    """The fields of a record that are arrays, value arrays as codes."""
    return {
        prefix + name: encode(value, format) if name in VALUES else value
        for name, value in vars(record).items()
        if isinstance(value, np.ndarray)
    }


def save_arrays(path: Path, arrays: dict[str, NDArray], rest: dict[str, Any]) -> None:
    """Write arrays, and plain values as JSON under ``rest``, to an .npz file, all or nothing."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays, rest=np.array(json.dumps(rest)))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    with scratch.open("wb") as file:
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def load_arrays(path: Path) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """Arrays and plain values that :func:`save_arrays` wrote.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
            rest = json.loads(str(arrays.pop("rest")))
    except (AttributeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        # What numpy does with a file depends on its first bytes.
        raise ValueError(f"{path} must be an .npz file of arrays and settings") from None
    return arrays, rest
