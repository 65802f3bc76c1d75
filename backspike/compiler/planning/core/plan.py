"""A whole training step of a network on one core: programs, DRAM, and what comes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from operator import attrgetter

from backspike.compiler.lowering.layers import lowered_layers
from backspike.compiler.memory.dram_layout import DramLayout
from backspike.compiler.memory.parts import Room, WeightRoom, even
from backspike.compiler.order.hazards import OrderedProgram
from backspike.compiler.order.timeline import Moment
from backspike.compiler.planning.blocks import cheapest_samples, cut_gradients, gradient_first_rows
from backspike.compiler.planning.context import FORWARD_DONE, Builder, CoreContext
from backspike.compiler.planning.core import backward as bp
from backspike.compiler.planning.core import forward as fp
from backspike.compiler.planning.core.beside import Beside
from backspike.compiler.planning.gradients import Gradients
from backspike.compiler.planning.image import CoreImage
from backspike.compiler.planning.operations import clear_statuses, collect_statuses
from backspike.compiler.planning.step import StepPlan
from backspike.compiler.planning.update import UpdatePlan, chunk_rows
from backspike.hw.config import ChipConfig
from backspike.hw.core.connection import LONE_CORE
from backspike.network import Network

__all__ = ["cut_step", "plan_step", "samples_for"]

ROUNDS = 4
"""Parts of a batch of which the BP sub-core works on one while the FP sub-core does the next."""


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
        for each in lowered_layers(network, config, batch, input_steps)
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
    context = cut_step(network, config, batch, input_steps=input_steps)
    forward, times = fp.forward(context)
    programs = {"fp": forward, "bp": _backward(context, times)}
    for program in programs.values():
        program.rearrange()
    finished = {name: program.finish() for name, program in programs.items()}
    image = CoreImage(network, context.layout, finished)
    places = [LONE_CORE] * (1 + len(context.layers))
    return StepPlan(context.layers, places, {LONE_CORE: image}, {})


def cut_step(
    network: Network, config: ChipConfig, batch: int, *, input_steps: int | None = None
) -> CoreContext:
    """How a training step is cut into parts that fit the core; as of :func:`plan_step`."""
    layers = lowered_layers(network, config, batch, input_steps)
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
    blocks = [
        cut_gradients(each, room, group=group, batch=batch, steps=steps)
        for each, group in zip(layers, network.wg_groups, strict=True)
    ]
    chunk_rows(room)
    cuts: dict[str, set[int]] = defaultdict(set)
    for layer, behind, there, back, made in zip(
        layers, after, forward, backward, blocks, strict=True
    ):
        for found in (
            fp.first_rows(layer, there),
            bp.first_rows(layer, behind, back),
            gradient_first_rows(layer, made),
        ):
            for key, rows in found.items():
                cuts[key] |= rows
    return CoreContext(
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
        blocks=blocks,
        layout=DramLayout(network, layers, room, batch=batch, cuts=cuts),
    )


def _backward(context: CoreContext, times: Sequence[Moment]) -> OrderedProgram:
    """The program of the BP sub-core; ``times`` are those at which rounds of FP are over, about.

    WG of samples comes as soon as there is du of them at all steps, beside BP and Grad of others or
    of the layer in front.
    """
    builder = Builder(context, "bp")
    builder.phase("backward")
    clear_statuses(builder)
    backward = bp.Backward(builder, context)
    gradients = Gradients(builder, dict(enumerate(context.blocks)))
    beside = Beside(builder, "wg", ("bp", "grad"))
    # What takes longest is first: it is what the wait for the last samples is filled with.
    for layer in sorted(context.layers, key=attrgetter("dense_cycles"), reverse=True):
        beside.add(gradients.layer(layer, partial(backward.ready, layer)))
    for samples, comes in zip(context.rounds, times, strict=True):
        beside.catch_up(comes.done)
        # For the loss, from which all else follows.
        builder.await_message(FORWARD_DONE, comes, samples)
        for layer in reversed(context.layers):
            for _ in backward.layer(layer, samples):
                beside.catch_up()
    beside.finish()
    builder.phase("update")
    collect_statuses(builder)
    UpdatePlan(builder).rows(0, context.layout.rows)
    return builder
