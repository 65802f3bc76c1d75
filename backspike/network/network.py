"""A spiking network as its user describes it: layers one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from backspike.hw.arith.format import BINARY16, BP_TERMS_BITS, FP_TERMS_BITS, Float
from backspike.hw.config import ChipConfig
from backspike.hw.limits import PLANE_MAX, POOLING_MAX, TAP_MAX
from backspike.sim.model.geometry import Geometry, Padding
from backspike.sim.model.number import round_values

__all__ = ["Layer", "Network", "layer_named"]


@contextmanager
def layer_named(index: int) -> Iterator[None]:
    """Refusals of what is done meanwhile say which layer they speak of."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"layer {index}: {error}") from None


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
        return Geometry.of(size, self.kernel, self.stride, self.padding)

    def pooled(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns behind the pooling, of maps of ``size``.

        Raises
        ------
        ValueError
            If there are none.
        """
        geometry = self.geometry((1, 1) if self.fully_connected else size)
        found = geometry.e_size // self.pool, geometry.f_size // self.pool
        if min(found) < 1:
            raise ValueError(
                f"pool must be at most the map's size {geometry.e_size}x{geometry.f_size}, "
                f"not {self.pool}"
            )
        return found


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
    format: Float = BINARY16

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
        network.check_arrays(config)
        return network

    def check_arrays(self, config: ChipConfig) -> None:
        """Refuses the network if a chip's arrays cannot run it.

        A fully connected layer runs as a convolution whose kernel is the map before it. A sum of FP
        goes over all bit planes; one of BP, which the first layer does without, over the taps of
        a residue of the stride.

        Raises
        ------
        ValueError
            In one sentence, which says what does not fit.
        """
        if self.format != config.format:
            raise ValueError(
                f"the network must be in the chip's format {config.format}, not {self.format}"
            )
        if self.planes > PLANE_MAX:
            raise ValueError(f"planes must be at most {PLANE_MAX}, not {self.planes}")
        lanes = config.array.lanes
        for index, (layer, (h, w, c_size)) in enumerate(
            zip(self.layers, self.neuron_maps, strict=False)
        ):
            if layer.fully_connected and max(h, w) > TAP_MAX:
                raise ValueError(
                    f"layer {index}, fully connected, must read a map of at most "
                    f"{TAP_MAX}x{TAP_MAX} pixels, not {h}x{w}"
                )
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
            kh, kw = (h, w) if layer.fully_connected else layer.kernel
            inputs = kh * kw * ((2 << (0 if index else self.planes)) - 1)
            outputs = math.prod(-(-taps // layer.stride[0]) for taps in (kh, kw)) if index else 0
            for what, channels, taps, bits in (
                ("FP over all bit planes", c_size, inputs, FP_TERMS_BITS),
                ("BP", layer.m_size, outputs, BP_TERMS_BITS),
            ):
                terms = -(-channels // lanes) * lanes * taps
                if terms > 1 << bits:
                    raise ValueError(
                        f"a sum of {what} in layer {index} must have at most {1 << bits} terms, "
                        f"not {terms}"
                    )

    @property
    def wg_groups(self) -> tuple[int, ...]:
        """``wg_samples`` of each layer."""
        if isinstance(self.wg_samples, int):
            return (self.wg_samples,) * len(self.layers)
        return self.wg_samples

    @property
    def neuron_maps(self) -> list[tuple[int, int, int]]:
        """(y size, x size, channels) in front of each layer, and at last what the network gives."""
        sizes = [self.input_size]
        for index, layer in enumerate(self.layers):
            with layer_named(index):
                sizes.append((*layer.pooled(sizes[-1][:2]), layer.m_size))
        return sizes

    @property
    def maps(self) -> list[tuple[int, int, int]]:
        """The same as each layer reads them: a fully connected one reads a vector."""
        return [
            (1, 1, math.prod(size)) if layer is not None and layer.fully_connected else size
            for layer, size in zip((*self.layers, None), self.neuron_maps, strict=True)
        ]

    @property
    def weight_shapes(self) -> list[tuple[int, int, int, int]]:
        """(m, c, r, s) of each layer."""
        return [
            (layer.m_size, size[2], *layer.kernel)
            for layer, size in zip(self.layers, self.maps, strict=False)
        ]
