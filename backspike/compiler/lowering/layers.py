"""The layers of a network as the core runs them: convolutions of maps in tiles of channels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backspike.compiler.lowering.convolution import ConvLayer, Strip
from backspike.compiler.lowering.neuron import NeuronArea
from backspike.compiler.lowering.words import tiles_of
from backspike.hw.config import ChipConfig
from backspike.network import Layer, Network
from backspike.network.network import layer_named

__all__ = ["Lowered", "lowered_layers"]


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A layer; one that is fully connected has a kernel as large as the map before it."""

    index: int
    layer: Layer
    conv: ConvLayer
    """The convolution of one sample at one step."""
    c_size: int
    lanes: int
    planes: int
    """B: bit planes 0 to B are read."""
    input_steps: int
    """1 for an input that is the same at all time steps."""
    masked: bool
    """Whether BP masks lanes by this layer's fire."""

    @property
    def pooled(self) -> tuple[int, int]:
        """Rows and columns behind the pooling."""
        return self.conv.e // self.layer.pool, self.conv.f // self.layer.pool

    def neuron_rows(self, strip: range) -> range:
        """Rows of neurons behind which the pooled rows of ``strip`` are.

        Rows that belong to no window go with the last strip.
        """
        pool = self.layer.pool
        last = strip.stop == self.pooled[0]
        return range(strip.start * pool, self.conv.e if last else strip.stop * pool)

    def channels(self, tiles: range, size: int) -> int:
        """Channels in ``tiles`` of a map of ``size`` channels."""
        return min(size, tiles.stop * self.lanes) - tiles.start * self.lanes

    def fp_strip(self, strip: range) -> Strip | None:
        """The convolution to the neurons behind pooled rows, and the first row of its input.

        None if it sees nothing but padding.
        """
        rows = self.neuron_rows(strip)
        return self.conv.fp_strip(rows.start, rows.stop)

    def bp_strip(self, strip: range) -> Strip | None:
        """The convolution from du to rows of the input, and the first row of du.

        None if the engine cannot do it.
        """
        return self.conv.bp_strip(strip.start, strip.stop)

    def area(self, strip: range, tiles: range, samples: int) -> NeuronArea:
        """What an instruction of Soma or Grad covers."""
        return NeuronArea(
            h_size=len(self.neuron_rows(strip)),
            w_size=self.conv.f,
            m_size=self.channels(tiles, self.layer.m_size),
            pooling=self.layer.pool,
            samples=samples,
        )

    def whole_area(self, samples: int) -> NeuronArea:
        """That of all its neurons."""
        return self.area(range(self.pooled[0]), range(self.conv.m_tiles), samples)

    @property
    def weight_rows(self) -> int:
        """Rows of all weight tiles, of ``lanes`` weights each."""
        return self.conv.m_tiles * self.conv.c_tiles * self.tile_rows

    @property
    def dense_cycles(self) -> int:
        """Cycles of WG for one sample and step if all inputs were spikes."""
        pixels = self.conv.e * self.conv.f * (self.planes + 1)
        return self.weight_rows // self.lanes * pixels

    @property
    def tile_rows(self) -> int:
        """Rows of the weights of one tile of outputs and one of inputs."""
        return self.conv.kernel[0] * self.conv.kernel[1] * self.lanes


def lowered_layers(
    network: Network, config: ChipConfig, batch: int, input_steps: int | None
) -> list[Lowered]:
    """The layers of a network.

    Parameters
    ----------
    input_steps : int, optional
        1 for an input that is the same at every time step, else the network's time steps; 1 if
        left out and the input has bit planes.

    Raises
    ------
    ValueError
        If the core cannot run one of them.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    if input_steps is None:
        input_steps = 1 if network.planes else network.steps
    if input_steps not in (1, network.steps):
        raise ValueError(f"input_steps must be 1 or {network.steps}, not {input_steps}")
    network.check_arrays(config)
    layers = [_lowered(network, index, config.array.lanes) for index in range(len(network.layers))]
    layers[0] = replace(layers[0], planes=network.planes, input_steps=input_steps)
    h, w = layers[-1].pooled
    if (h, w) != (1, 1):
        raise ValueError(f"the last layer's map must be of one pixel, for the loss, not {h}x{w}")
    return layers


def _lowered(network: Network, index: int, lanes: int) -> Lowered:
    """A layer that reads spikes of all steps."""
    layer, (h, w, c) = network.layers[index], network.neuron_maps[index]
    with layer_named(index):
        conv = ConvLayer(
            h=h,
            w=w,
            kernel=(h, w) if layer.fully_connected else layer.kernel,
            stride=layer.stride[0],
            padding=layer.padding,
            c_tiles=tiles_of(c, lanes),
            m_tiles=tiles_of(layer.m_size, lanes),
        )
        if conv.fp_strip(0, conv.e) is None:
            raise ValueError(f"output rows must see a row of the map of {h}, and not padding alone")
    return Lowered(
        index=index,
        layer=layer,
        conv=conv,
        c_size=c,
        lanes=lanes,
        planes=0,
        input_steps=network.steps,
        masked=network.fire_mask and layer.pool == 1,
    )
