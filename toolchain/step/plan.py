"""A whole training step of a network on one core: programs, DRAM, and what comes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from hw.config import ChipConfig
from hw.isa import Control
from sim.model import encode, round_values
from sim.model.network import Network, Weights
from sim.model.number import Bits, Values
from sim.model.update import F32, UpdateRule
from toolchain.hazards import OrderedProgram
from toolchain.program import Program
from toolchain.step import backward as bp
from toolchain.step import forward as fp
from toolchain.step.beside import Beside
from toolchain.step.blocks import Blocks, cheapest_samples, cut_gradients
from toolchain.step.blocks import first_rows as wg_first_rows
from toolchain.step.gradients import Gradients
from toolchain.step.layers import Lowered, lowered_layers
from toolchain.step.layout import Layout
from toolchain.step.loss import LOSS_SCALE
from toolchain.step.parts import Room, WeightRoom, even
from toolchain.step.setting import Builder, Setting
from toolchain.step.update import RULE, chunk_rows, update

__all__ = ["LayerResult", "StepPlan", "StepResult", "plan_step", "samples_for"]

ROUNDS = 4
"""Parts of a batch of which the BP sub-core works on one while the FP sub-core does the next."""

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """What a step leaves of a layer; names and shapes are those of a LayerRecord."""

    u: Values
    s_out: Bits
    du: Values
    dw: F32
    w_new: F32
    v_new: F32
    w_stored_new: Values

    def weights(self) -> Weights:
        """What the next step begins with."""
        return Weights(self.w_new, self.v_new, self.w_stored_new)


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step leaves in DRAM."""

    layers: list[LayerResult]
    rates: Values
    """Firing rates (n, 1, 1, m) of the last layer."""


class StepPlan:
    """The programs of a training step, and the DRAM that they work on.

    Parameters
    ----------
    setting : Setting
    programs : mapping of sub-core to Program

    Attributes
    ----------
    programs
    words : mapping of sub-core to uint32 array
        Their words; scalars are 0 until :meth:`put_scalars`.
    addresses : mapping of sub-core to int
        Where they lie in DRAM.
    size : int
        Bytes of DRAM.
    """

    def __init__(self, setting: Setting, programs: Mapping[str, Program]):
        self.setting = setting
        self.programs = programs
        self.words = {name: np.array(each.words, "<u4") for name, each in programs.items()}
        allocator = setting.layout.dram
        self.addresses = {
            name: allocator.take(f"program {name}", words.nbytes).address
            for name, words in self.words.items()
        }
        self.size = allocator.size

    def image(
        self,
        weights: Sequence[Weights],
        x: NDArray,
        targets: Values,
        rule: UpdateRule,
        loss_scale: float = 1.0,
    ) -> Bytes:
        """DRAM before the step; the arguments are those of :meth:`Network.train_step`."""
        dram = np.zeros(self.size, np.uint8)
        for name, words in self.words.items():
            self._program(dram, name)[:] = words
        self.setting.layout.put_weights(dram, weights)
        self.put_batch(dram, x, targets)
        self.put_scalars(dram, rule, loss_scale)
        return dram

    def put_batch(self, dram: Bytes, x: NDArray, targets: Values) -> None:
        """Writes another input, and the firing rates asked for, into DRAM."""
        self.setting.layout.put_batch(dram, x, targets)

    def put_scalars(self, dram: Bytes, rule: UpdateRule, loss_scale: float = 1.0) -> None:
        """Writes what changes from step to step into the programs in DRAM."""
        network = self.setting.network
        scale = round_values(loss_scale / (self.setting.batch * network.steps), network.format)
        codes = {LOSS_SCALE: int(encode(scale, network.format))}
        codes |= {name: int(np.float32(getattr(rule, name)).view(np.uint32)) for name in RULE}
        for subcore, program in self.programs.items():
            words = self._program(dram, subcore)
            for name, places in program.scalars.items():
                words[places] = codes[name]

    def _program(self, dram: Bytes, name: str) -> Words:
        first = self.addresses[name]
        return dram[first : first + self.words[name].nbytes].view("<u4")

    def read(self, dram: Bytes) -> StepResult:
        """What the step has left in DRAM."""
        layout, layers = self.setting.layout, []
        for layer, maps in zip(self.setting.layers, layout.layers, strict=True):
            channels, index = layer.layer.m_size, layer.index
            layers.append(
                LayerResult(
                    u=layout.values(dram, maps.u, channels),
                    s_out=layout.spikes(dram, maps.s_out, layer.pooled[1], channels),
                    du=layout.values(dram, maps.du, channels),
                    dw=layout.wide(dram, "dw", index),
                    w_new=layout.wide(dram, "w", index),
                    v_new=layout.wide(dram, "v", index),
                    w_stored_new=layout.stored_weights(dram, index),
                )
            )
        rates = layout.values(dram, layout.rates, self.setting.layers[-1].layer.m_size)
        return StepResult(layers=layers, rates=rates[0])


def samples_for(
    network: Network, config: ChipConfig, batch: int, *, input_steps: int | None = None
) -> tuple[int, ...]:
    """``wg_samples`` of each layer with which a batch takes least time on the core.

    Whatever the network has as ``wg_samples`` now does not matter. The arguments and errors are
    those of :func:`plan_step`.
    """
    room = Room(config=config)
    return tuple(
        cheapest_samples(each, room, batch=batch, steps=network.steps)
        for each in _lowered(network, config, batch, input_steps)
    )


def plan_step(
    network: Network, config: ChipConfig, batch: int, *, input_steps: int | None = None
) -> StepPlan:
    """The programs of a training step.

    Parameters
    ----------
    network : Network
        For ``wg_samples`` see :func:`samples_for`.
    config : ChipConfig
    batch : int
        Samples.
    input_steps : int, optional
        1 for an input that is the same at every time step, else the network's time steps; 1 if
        left out and the input has bit planes.

    Raises
    ------
    ValueError
        If the network does not fit the core, in one sentence that says what does not.
    """
    layers = _lowered(network, config, batch, input_steps)
    room = Room(config=config)
    forward_weights = WeightRoom.of(
        room, "fp.w", layers, [each.conv.c_tiles * each.tile_rows for each in layers]
    )
    backward_weights = WeightRoom.of(
        room, "bp.w", layers[1:], [each.conv.m_tiles * each.tile_rows for each in layers[1:]]
    )
    after = [*layers[1:], None]
    resident = forward_weights.resident and backward_weights.resident
    rounds = even(batch, ROUNDS if resident else 1)
    steps = network.steps
    forward = [
        fp.cut_forward(each, room, forward_weights, rounds=rounds, steps=steps) for each in layers
    ]
    backward = [
        bp.cut_backward(each, behind, room, backward_weights, rounds=rounds, steps=steps)
        for each, behind in zip(layers, after, strict=True)
    ]
    blocks = []
    for each, samples in zip(layers, network.wg_groups, strict=True):
        group = min(samples, batch)
        groups = -(-batch // group)
        blocks.append(cut_gradients(each, room, group=group, groups=groups, steps=network.steps))
    chunk_rows(room)
    cuts: dict[str, set[int]] = defaultdict(set)
    for layer, behind, there, back, made in zip(
        layers, after, forward, backward, blocks, strict=True
    ):
        for found in (
            fp.first_rows(layer, there),
            bp.first_rows(layer, behind, back),
            wg_first_rows(layer, made),
        ):
            for key, rows in found.items():
                cuts[key] |= rows
    setting = Setting(
        network=network,
        config=config,
        batch=batch,
        rounds=rounds,
        layers=layers,
        room=room,
        forward=forward,
        backward=backward,
        forward_weights=forward_weights,
        backward_weights=backward_weights,
        layout=Layout(network, layers, room, batch=batch, cuts=cuts),
    )
    forward_program, times = fp.forward(setting)
    programs = {"fp": forward_program, "bp": _backward(setting, blocks, times)}
    for program in programs.values():
        program.rearrange()
    return StepPlan(setting, {name: each.finish() for name, each in programs.items()})


def _lowered(
    network: Network, config: ChipConfig, batch: int, input_steps: int | None
) -> list[Lowered]:
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    if input_steps is None:
        input_steps = 1 if network.planes else network.steps
    if input_steps not in (1, network.steps):
        raise ValueError(f"input_steps must be 1 or {network.steps}, not {input_steps}")
    return lowered_layers(network, config, input_steps)


def _backward(setting: Setting, blocks: Sequence[Blocks], times: Sequence[int]) -> OrderedProgram:
    """The program of the BP sub-core; ``times`` are those at which rounds of FP are over, about.

    WG of samples comes as soon as there is du of them at all steps, beside BP and Grad of others or
    of the layer in front.
    """
    builder = Builder(setting, "bp")
    builder.phase("backward")
    builder.add(
        "NOC_CTRL", {"flow_type": Control.CLEAR.value}, reason="forget statuses of the batch before"
    )
    backward, gradients = bp.Backward(builder), Gradients(builder, blocks)
    beside = Beside(builder, "wg", ("bp", "grad"))
    # What takes longest is first: it is what the wait for the last samples is filled with.
    for layer in sorted(setting.layers, key=attrgetter("dense_products"), reverse=True):
        beside.add(gradients.layer(layer, partial(backward.ready, layer)))
    for samples, comes in zip(setting.rounds, times, strict=True):
        beside.catch_up(comes)
        backward.begin(comes)
        for layer in reversed(setting.layers):
            for _ in backward.layer(layer, samples):
                beside.catch_up()
    beside.finish()
    update(builder)
    return builder
