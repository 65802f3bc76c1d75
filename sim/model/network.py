"""A spiking network over T time steps: forward, backward, weight gradient, update (design, 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.arith.format import BP_TERMS_BITS, FP16, FP_TERMS_BITS, Float
from hw.config import ChipConfig
from hw.limits import PLANE_MAX, POOLING_MAX, TAP_MAX
from sim.model.conv import add_dw, psum_bp, psum_fp, psum_wg, read_bp, read_fp, read_wg
from sim.model.geometry import Geometry, Padding
from sim.model.neuron import add, fire, grad, multiply, soma, subtract
from sim.model.number import Bits, Integers, Status, Values, round_values, to_psum
from sim.model.record import LayerRecord, StepRecord
from sim.model.update import F32, UpdateRule, update

__all__ = ["Layer", "LayerRecord", "Network", "StepRecord", "Weights", "loss_gradient"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution and the neurons behind it; potentials and thresholds are of the storage format.

    Parameters
    ----------
    m_size : int
        Output channels.
    kernel, stride, padding :
        Of the convolution: (r size, s size), (vertical, horizontal), (top, bottom, left, right).
    fully_connected : bool
        Reads the map before it as one vector, ordered (y, x, channel): a 1x1 convolution.
    pool : int
        Size and stride of max-pooling behind the neurons.
    alpha, th_f, th_l, th_r : float
        Decay, firing threshold, and the window in which the surrogate derivative is 1. A small
        positive ``th_l`` instead of 0 leaves silent neurons (u exactly 0) out of BP.
    """

    m_size: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    fully_connected: bool = False
    pool: int = 1
    alpha: float = 0.5
    th_f: float = 1.0
    th_l: float = 0.0
    th_r: float = 2.0

    def __post_init__(self) -> None:
        if self.m_size < 1 or self.pool < 1:
            raise ValueError(
                f"m_size and pool must be at least 1, not {self.m_size} and {self.pool}"
            )
        trivial = self.kernel == self.stride == (1, 1) and not any(self.padding)
        if self.fully_connected and not trivial:
            raise ValueError(
                f"a fully connected layer must have kernel and stride (1, 1) and no padding, "
                f"not {self.kernel}, {self.stride} and {self.padding}"
            )

    def geometry(self, size: tuple[int, int]) -> Geometry:
        """The convolution on maps of ``size``."""
        return Geometry(
            h_size=size[0],
            w_size=size[1],
            r_size=self.kernel[0],
            s_size=self.kernel[1],
            stride=self.stride,
            padding=self.padding,
        )

    @property
    def convolution(self) -> dict[str, Any]:
        """Keyword arguments of psum_fp, psum_bp and psum_wg."""
        return {"stride": self.stride, "padding": self.padding}


@dataclass
class Weights:
    """State of a layer's training: FP32 masters and momenta, and RN(w) as the SRAMs hold it."""

    w: F32
    """(m, c, r, s)"""
    v: F32
    w_stored: Values

    @classmethod
    def start(cls, w: NDArray, format: Float = FP16) -> Weights:
        """Masters ``w``, no momentum."""
        w = np.asarray(w, np.float32)
        return cls(w, np.zeros_like(w), round_values(w, format))


@dataclass(frozen=True, kw_only=True)
class Network:
    """Layers one after the other, and the schedule that its numbers depend on.

    Parameters
    ----------
    layers : tuple of Layer
    input_size : (y size, x size, channels)
    steps : int
        Time steps T.
    planes : int
        B: the input is sum of 2**-b x_b over bit planes b = 0..B; 0 for spikes.
    wg_samples : int or tuple of int
        Samples that one WG instruction sums up, of all layers or of each; further ones are added
        with ``dw_acc``, per group planes ascending.
    fire_mask : bool
        Whether BP masks lanes by fire, where no max-pooling lies between.
    format : Float

    Raises
    ------
    ValueError
        If layers do not fit together or a number is impossible.
    """

    layers: tuple[Layer, ...]
    input_size: tuple[int, int, int]
    steps: int
    planes: int = 0
    wg_samples: int | tuple[int, ...]
    fire_mask: bool = True
    format: Float = FP16

    def __post_init__(self) -> None:
        for name, low in (("steps", 1), ("planes", 0)):
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, not {getattr(self, name)}")
        if not self.layers:
            raise ValueError("layers must be at least one Layer, not none")
        if len(self.wg_groups) != len(self.layers) or min(self.wg_groups) < 1:
            raise ValueError(
                f"wg_samples must be a number of at least 1, or {len(self.layers)} of them, one "
                f"for each layer, not {self.wg_samples}"
            )
        for index, layer in enumerate(self.layers):
            for name in ("alpha", "th_f", "th_l", "th_r"):
                value = getattr(layer, name)
                if not round_values(value, self.format) == value:
                    raise ValueError(
                        f"{name} of layer {index} must be a number of the format {self.format}, "
                        f"not {value!r}"
                    )
        _ = self.maps

    @classmethod
    def for_chip(cls, config: ChipConfig, **settings: Any) -> Network:
        """A network in a chip's storage format, refused if the chip's arrays cannot run it."""
        network = cls(format=config.format, **settings)
        if network.planes > PLANE_MAX:
            raise ValueError(f"planes must be at most {PLANE_MAX}, not {network.planes}")
        for index, layer in enumerate(network.layers):
            if max(layer.kernel) > TAP_MAX:
                raise ValueError(
                    f"the kernel of layer {index} must be at most {TAP_MAX} high and wide, "
                    f"not {layer.kernel}"
                )
            if layer.stride[0] != layer.stride[1] or max(layer.stride + layer.padding) > TAP_MAX:
                raise ValueError(
                    f"stride and padding of layer {index} must be at most {TAP_MAX}, and the "
                    f"stride the same both ways, not {layer.stride} and {layer.padding}"
                )
            if layer.pool > POOLING_MAX:
                raise ValueError(
                    f"pool of layer {index} must be at most {POOLING_MAX}, not {layer.pool}"
                )
            m_size, c_size, kh, kw = network.weight_shapes[index]
            lanes, stride = config.array.lanes, layer.stride[0]
            bp_taps = -(-kh // stride) * -(-kw // stride)
            for what, channels, taps, bits in (
                ("FP", c_size, kh * kw << (0 if index else network.planes), FP_TERMS_BITS),
                ("BP", m_size, bp_taps, BP_TERMS_BITS),
            ):
                terms = -(-channels // lanes) * lanes * taps
                if terms > 1 << bits and (index or what == "FP"):
                    raise ValueError(
                        f"a sum of {what} in layer {index} must have at most {1 << bits} terms, "
                        f"not {terms}"
                    )
        return network

    @property
    def wg_groups(self) -> tuple[int, ...]:
        """``wg_samples`` of each layer."""
        if isinstance(self.wg_samples, int):
            return (self.wg_samples,) * len(self.layers)
        return self.wg_samples

    @property
    def maps(self) -> list[tuple[int, int, int]]:
        """(y size, x size, channels) that each layer reads, and at last what the network gives."""
        sizes = [self.input_size]
        for layer in self.layers:
            if layer.fully_connected:
                sizes[-1] = (1, 1, int(np.prod(sizes[-1])))
            geometry = layer.geometry(sizes[-1][:2])
            out = geometry.e_size // layer.pool, geometry.f_size // layer.pool
            if min(out) < 1:
                raise ValueError(
                    f"pool must be at most the map's size {geometry.e_size}x{geometry.f_size}, "
                    f"not {layer.pool}"
                )
            sizes.append((*out, layer.m_size))
        return sizes

    @property
    def weight_shapes(self) -> list[tuple[int, int, int, int]]:
        """(m, c, r, s) of each layer."""
        return [
            (layer.m_size, size[2], *layer.kernel)
            for layer, size in zip(self.layers, self.maps, strict=False)
        ]

    def forward(
        self, x: NDArray, weights: Sequence[Weights], *, status: Status
    ) -> list[LayerRecord]:
        """All time steps through all layers.

        ``x`` holds whole numbers, sum of 2**(B-b) x_b: of shape (t, n, y, x, c), or (1, n, y, x, c)
        if it is the same at every time step; then it is convolved once a sample.
        """
        if x.ndim != 5 or x.shape[2:] != self.input_size or x.shape[0] not in (1, self.steps):
            raise ValueError(
                f"the input must have the shape (1 or {self.steps}, samples, "
                f"{', '.join(map(str, self.input_size))}), not {x.shape}"
            )
        if x.min(initial=0) < 0 or x.max(initial=0) >= 2 << self.planes:
            raise ValueError(
                f"inputs must be whole numbers from 0 to {(2 << self.planes) - 1}, "
                f"not {x.min()} to {x.max()}"
            )
        records = []
        planes = self.planes
        for layer, size, state in zip(self.layers, self.maps, weights, strict=False):
            x = x.reshape(*x.shape[:2], *size)
            records.append(self._forward(layer, x, state, planes, status))
            x, planes = records[-1].s_out, 0
        return records

    def _forward(
        self, layer: Layer, x: NDArray, weights: Weights, planes: int, status: Status
    ) -> LayerRecord:
        format = self.format
        psum = psum_fp(x, weights.w_stored, **layer.convolution, status=status, format=format)
        conv = read_fp(psum, planes=planes, status=status, format=format)
        conv = np.broadcast_to(conv, (self.steps, *conv.shape[1:]))
        u: list[Values] = []
        s: list[Bits] = []
        s_out: list[Bits] = []
        for t in range(self.steps):
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

    def backward(self, records: list[LayerRecord], psum: Integers, *, status: Status) -> None:
        """BP, grad and WG of all layers, last to first; fills in the records.

        ``psum`` is conv_bp of the last layer, (t, n, y, x, m), on the grid of BP psums.
        """
        for index in reversed(range(len(self.layers))):
            layer, record = self.layers[index], records[index]
            record.psum_bp = psum
            record.du = self._grad(layer, psum, record.u, status)
            record.dw = self._weight_gradient(index, record.x, record.du, status)
            if index:
                below = records[index - 1]
                mask = self._mask(self.layers[index - 1], below.u)
                psum = psum_bp(
                    record.du,
                    record.w_stored,
                    size=record.x.shape[2:4],
                    mask=None if mask is None else mask.reshape(record.x.shape),
                    **layer.convolution,
                    status=status,
                    format=self.format,
                ).reshape(below.s_out.shape)
                below.mask = mask

    def _mask(self, layer: Layer, u: Values) -> Bits | None:
        masked = self.fire_mask and layer.pool == 1
        return fire(u, th_l=layer.th_l, th_r=layer.th_r) if masked else None

    def _grad(self, layer: Layer, psum: Integers, u: Values, status: Status) -> Values:
        conv = read_bp(psum, status=status, format=self.format)
        du = np.empty_like(u)
        for t in reversed(range(self.steps)):
            last = t == self.steps - 1
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
                format=self.format,
            )
        return du

    def _weight_gradient(self, index: int, x: NDArray, du: Values, status: Status) -> F32:
        layer, samples = self.layers[index], self.wg_groups[index]
        planes = 0 if index else self.planes
        dw: F32 | None = None
        for first in range(0, du.shape[1], samples):
            group = slice(first, first + samples)
            for plane in range(planes + 1):
                psum = psum_wg(
                    x[:, group] >> planes - plane & 1 if planes else x[:, group],
                    du[:, group],
                    kernel=layer.kernel,
                    **layer.convolution,
                    status=status,
                    format=self.format,
                )
                part = read_wg(psum, plane=plane, status=status, format=self.format)
                dw = part if dw is None else add_dw(dw, part, status=status)
        if dw is None:
            raise ValueError("a batch must have at least one sample, not none")
        return dw

    def train_step(
        self,
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
        layers = self.forward(x, weights, status=status)
        out = layers[-1].s_out
        if targets.shape != (out.shape[1], self.layers[-1].m_size) or out.shape[2:4] != (1, 1):
            raise ValueError(
                f"targets must be one number per sample and output, "
                f"{(out.shape[1], *self.maps[-1])}, not {targets.shape}"
            )
        targets = targets[:, None, None, :]
        scale = float(round_values(loss_scale / out[:, :, 0, 0, 0].size, self.format))
        rates, gradient = loss_gradient(out, targets, scale, status=status, format=self.format)
        psum = to_psum(gradient, lsb=self.format.product_lsb, bits=self.format.product_psum_bits)
        self.backward(layers, np.broadcast_to(psum, out.shape), status=status)
        before_update = Status(status.overflow, status.invalid)
        for record, state in zip(layers, weights, strict=True):
            if not before_update:
                state.w, state.v, state.w_stored = update(
                    record.w, record.v, record.dw, rule, status=status, format=self.format
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
    s: Bits, targets: Values, scale: float, *, status: Status, format: Float = FP16
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
