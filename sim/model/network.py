"""A spiking network over T time steps: forward, backward, weight gradient, update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backspike.hw.arith.format import BINARY16, Float
from backspike.sim.model.conv import add_dw, psum_bp, psum_fp, psum_wg, read_bp, read_fp, read_wg
from backspike.sim.model.geometry import Padding
from backspike.sim.model.neuron import add, fire, grad, multiply, soma, subtract
from backspike.sim.model.number import Bits, Integers, Status, Values, round_values, to_psum
from backspike.sim.model.record import LayerRecord, StepRecord
from backspike.sim.model.update import F32, UpdateRule, update

__all__ = [
    "LayerShape",
    "NetworkShape",
    "Weights",
    "backward",
    "forward",
    "loss_gradient",
    "train_step",
]


@dataclass
class Weights:
    """State of a layer's training: binary32 masters and momenta, and RN(w) as the SRAMs hold it."""

    w: F32
    """(m, c, r, s)"""
    v: F32
    w_stored: Values

    @classmethod
    def start(cls, w: NDArray, format: Float = BINARY16) -> Weights:
        """Masters ``w``, no momentum."""
        w = np.asarray(w, np.float32)
        return cls(w, np.zeros_like(w), round_values(w, format))


class LayerShape(Protocol):
    """What the model needs to know of a layer (symbols: docs/arithmetic.md)."""

    @property
    def m_size(self) -> int: ...
    @property
    def kernel(self) -> tuple[int, int]: ...
    @property
    def stride(self) -> tuple[int, int]: ...
    @property
    def padding(self) -> Padding: ...
    @property
    def pool(self) -> int: ...
    @property
    def alpha(self) -> float: ...
    @property
    def th_f(self) -> float: ...
    @property
    def th_l(self) -> float: ...
    @property
    def th_r(self) -> float: ...


class NetworkShape(Protocol):
    """What the model needs to know of a network."""

    @property
    def layers(self) -> Sequence[LayerShape]: ...
    @property
    def input_size(self) -> tuple[int, int, int]: ...
    @property
    def maps(self) -> Sequence[tuple[int, int, int]]: ...
    @property
    def steps(self) -> int: ...
    @property
    def planes(self) -> int: ...
    @property
    def wg_groups(self) -> Sequence[int]: ...
    @property
    def fire_mask(self) -> bool: ...
    @property
    def format(self) -> Float: ...


def forward(
    network: NetworkShape, x: NDArray, weights: Sequence[Weights], *, status: Status
) -> list[LayerRecord]:
    """All time steps through all layers.

    ``x`` holds whole numbers, sum of 2**(B-b) x_b: of shape (t, n, y, x, c), or (1, n, y, x, c)
    if it is the same at every time step; then it is convolved once a sample.
    """
    if x.ndim != 5 or x.shape[2:] != network.input_size or x.shape[0] not in (1, network.steps):
        raise ValueError(
            f"the input must have the shape (1 or {network.steps}, samples, "
            f"{', '.join(map(str, network.input_size))}), not {x.shape}"
        )
    if x.min(initial=0) < 0 or x.max(initial=0) >= 2 << network.planes:
        raise ValueError(
            f"inputs must be whole numbers from 0 to {(2 << network.planes) - 1}, "
            f"not {x.min()} to {x.max()}"
        )
    records = []
    planes = network.planes
    for layer, size, state in zip(network.layers, network.maps, weights, strict=False):
        x = x.reshape(*x.shape[:2], *size)
        records.append(_forward(network, layer, x, state, planes, status))
        x, planes = records[-1].s_out, 0
    return records


def _forward(
    network: NetworkShape,
    layer: LayerShape,
    x: NDArray,
    weights: Weights,
    planes: int,
    status: Status,
) -> LayerRecord:
    format = network.format
    psum = psum_fp(
        x,
        weights.w_stored,
        stride=layer.stride,
        padding=layer.padding,
        status=status,
        format=format,
    )
    conv = read_fp(psum, planes=planes, status=status, format=format)
    conv = np.broadcast_to(conv, (network.steps, *conv.shape[1:]))
    u: list[Values] = []
    s: list[Bits] = []
    s_out: list[Bits] = []
    for t in range(network.steps):
        step = soma(
            conv[t],
            u[-1] if t else None,
            s[-1] if t else None,
            alpha=layer.alpha,
            th_f=layer.th_f,
            pool=layer.pool,
            t_acc=t > 0,
            status=status,
            format=format,
        )
        u.append(step.u)
        s.append(step.s)
        s_out.append(step.s_out)
    return LayerRecord(
        x=x,
        w=weights.w,
        v=weights.v,
        w_stored=weights.w_stored,
        psum_fp=psum,
        u=np.stack(u),
        s=np.stack(s),
        s_out=np.stack(s_out),
    )


def backward(
    network: NetworkShape, records: list[LayerRecord], psum: Integers, *, status: Status
) -> None:
    """BP, grad and WG of all layers, last to first; fills in the records.

    ``psum`` is conv_bp of the last layer, (t, n, y, x, m), on the grid of BP psums.
    """
    for index in reversed(range(len(network.layers))):
        layer, record = network.layers[index], records[index]
        record.psum_bp = psum
        record.du = _grad(network, layer, psum, record.u, status)
        record.dw = _weight_gradient(network, index, record.x, record.du, status)
        if index:
            below = records[index - 1]
            mask = _mask(network, network.layers[index - 1], below.u)
            psum = psum_bp(
                record.du,
                record.w_stored,
                size=record.x.shape[2:4],
                mask=None if mask is None else mask.reshape(record.x.shape),
                stride=layer.stride,
                padding=layer.padding,
                status=status,
                format=network.format,
            ).reshape(below.s_out.shape)
            below.mask = mask


def _mask(network: NetworkShape, layer: LayerShape, u: Values) -> Bits | None:
    masked = network.fire_mask and layer.pool == 1
    return fire(u, th_l=layer.th_l, th_r=layer.th_r) if masked else None


def _grad(
    network: NetworkShape, layer: LayerShape, psum: Integers, u: Values, status: Status
) -> Values:
    conv = read_bp(psum, status=status, format=network.format)
    du = np.empty_like(u)
    for t in reversed(range(network.steps)):
        last = t == network.steps - 1
        du[t] = grad(
            conv[t],
            None if last else du[t + 1],
            u[t],
            alpha=layer.alpha,
            th_f=layer.th_f,
            th_l=layer.th_l,
            th_r=layer.th_r,
            pool=layer.pool,
            t_acc=not last,
            status=status,
            format=network.format,
        )
    return du


def _weight_gradient(
    network: NetworkShape, index: int, x: NDArray, du: Values, status: Status
) -> F32:
    layer, samples = network.layers[index], network.wg_groups[index]
    planes = 0 if index else network.planes
    dw: F32 | None = None
    for first in range(0, du.shape[1], samples):
        group = slice(first, first + samples)
        for plane in range(planes + 1):
            psum = psum_wg(
                x[:, group] >> planes - plane & 1 if planes else x[:, group],
                du[:, group],
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                status=status,
                format=network.format,
            )
            part = read_wg(psum, plane=plane, status=status, format=network.format)
            dw = part if dw is None else add_dw(dw, part, status=status)
    if dw is None:
        raise ValueError("a batch must have at least one sample, not none")
    return dw


def train_step(
    network: NetworkShape,
    x: NDArray,
    targets: Values,
    weights: list[Weights],
    rule: UpdateRule,
    *,
    loss_scale: float = 1.0,
) -> StepRecord:
    """One batch: forward, loss, backward, weight gradient and update of ``weights`` in place.

    ``targets`` (n, m) are the firing rates asked for. The update is left out if a status was
    set on the way; see ``StepRecord.status``. ``rule.k`` has to undo ``loss_scale``.
    """
    status = Status()
    layers = forward(network, x, weights, status=status)
    out = layers[-1].s_out
    if targets.shape != (out.shape[1], network.layers[-1].m_size) or out.shape[2:4] != (1, 1):
        raise ValueError(
            f"targets must be one number per sample and output, "
            f"{(out.shape[1], *network.maps[-1])}, not {targets.shape}"
        )
    targets = targets[:, None, None, :]
    scale = float(round_values(loss_scale / out[:, :, 0, 0, 0].size, network.format))
    rates, gradient = loss_gradient(out, targets, scale, status=status, format=network.format)
    psum = to_psum(gradient, lsb=network.format.product_lsb, bits=network.format.product_psum_bits)
    backward(network, layers, np.broadcast_to(psum, out.shape), status=status)
    before_update = Status(status.overflow, status.invalid)
    for record, state in zip(layers, weights, strict=True):
        if not before_update:
            state.w, state.v, state.w_stored = update(
                record.w, record.v, record.dw, rule, status=status, format=network.format
            )
        record.w_new, record.v_new, record.w_stored_new = state.w, state.v, state.w_stored
    return StepRecord(
        layers=layers,
        rule=rule,
        targets=targets,
        scale=scale,
        rates=rates,
        gradient=gradient,
        status=status,
        updated=not before_update,
    )


def loss_gradient(
    s: Bits, targets: Values, scale: float, *, status: Status, format: Float = BINARY16
) -> tuple[Values, Values]:
    """Firing rates, and the gradient of 1/(2N) sum (rate - target)**2, as vector operations.

    ``s`` (t, ...), ``targets`` (...); ``scale`` is a number of the format: loss_scale / (N * T).
    r = sum over t of s, accumulated; r = RN(r * RN(1/T)); d = RN(r - target); RN(d * scale), which
    is conv_bp of the last layer at every time step.
    """
    rates = np.zeros(s.shape[1:])
    for spikes in s:
        rates = add(rates, spikes, status=status, format=format)
    share = float(round_values(1 / len(s), format))
    rates = multiply(rates, share, status=status, format=format)
    error = subtract(rates, targets, status=status, format=format)
    return rates, multiply(error, scale, status=status, format=format)
