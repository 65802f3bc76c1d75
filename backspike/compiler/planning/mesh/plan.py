"""A whole training step of a network on many cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backspike.compiler.lowering.layers import Lowered, lowered_layers
from backspike.compiler.memory.dram_layout import DramLayout
from backspike.compiler.memory.parts import Room, cut_range
from backspike.compiler.order.arrange import arrange
from backspike.compiler.order.cycles import DENSITY
from backspike.compiler.planning.blocks import GradientBlocks, cut_gradients, gradient_first_rows
from backspike.compiler.planning.context import PlanContext
from backspike.compiler.planning.image import CoreImage
from backspike.compiler.planning.mesh.backward import BackwardStage, Received
from backspike.compiler.planning.mesh.core_plan import CorePlan
from backspike.compiler.planning.mesh.forward import ForwardStage
from backspike.compiler.planning.mesh.gradients import GradientStage
from backspike.compiler.planning.mesh.places import balanced, snake
from backspike.compiler.planning.mesh.schedule import schedule
from backspike.compiler.planning.mesh.slots import MapWords
from backspike.compiler.planning.mesh.update import add_update, collect
from backspike.compiler.planning.mesh.wiring import Edge, Wiring
from backspike.compiler.planning.step import StepPlan
from backspike.compiler.planning.update import chunk_rows
from backspike.hw.config import ChipConfig
from backspike.hw.core.connection import Place
from backspike.network import Network

__all__ = ["plan_mesh"]


def _image(core: CorePlan) -> CoreImage:
    ends = {"fp": core.fp, "bp": core.bp} if core.forward else {"bp": core.bp}
    programs = {}
    for name, end in ends.items():
        end.builder.rearrange(after_fence=True)
        programs[name] = end.builder.finish()
    return CoreImage(core.context.network, core.context.layout, programs)


def plan_mesh(
    network: Network,
    config: ChipConfig,
    batch: int,
    *,
    places: Sequence[Place] | None = None,
    part: int = 1,
    input_steps: int | None = None,
    density: Mapping[str, float] = DENSITY,
) -> StepPlan:
    """The programs that train a network on a batch, as a pipeline over the cores of a mesh.

    Parameters
    ----------
    places : sequence of place, optional
        Of the input, whose core makes the first layer's dw, and of all layers, in order; chosen so
        that all cores have about as much to do, if left out.
    part : int
        Samples that go through the layers together, a time step at a time.
    input_steps : int, optional
        As of :func:`backspike.compiler.planning.core.plan_step`.
    density : mapping of mnemonic to float
        Share of the dense cycles that arrays need: it decides what comes first.

    Raises
    ------
    ValueError
        If the network does not fit the cores, in one sentence that says what does not.
    """
    layers = lowered_layers(network, config, batch, input_steps)
    if places is None:
        mesh = snake(config.mesh.columns, config.mesh.rows)
        places = balanced(layers, network.steps, mesh)
    _check(places, layers, config)
    if part < 1:
        raise ValueError(f"part must be at least 1, not {part}")
    room = Room(config=config)
    chunk_rows(room)
    parts = cut_range(range(batch), part)
    blocks = {
        layer.index: cut_gradients(
            layer, room, group=group, batch=batch, steps=network.steps, reloads=True
        )
        for layer, group in zip(layers, network.wg_groups, strict=True)
    }
    cores = {}
    for place in dict.fromkeys([*places[1:], places[0]]):
        there = [index for index, home in enumerate(places) if home == place]
        layout = _layout(network, layers, room, batch, blocks, there)
        context = PlanContext(
            network=network, config=config, batch=batch, layers=layers, room=room, layout=layout
        )
        cores[place] = CorePlan(place, context, parts, density)
    homes = [cores[place] for place in places]
    wiring = Wiring(config)
    _pipeline(homes, layers, parts, blocks, wiring)
    arrange([builder for core in cores.values() for builder in core.fence()])
    collect(list(cores.values()), wiring)
    add_update(list(cores.values()), dict(enumerate(homes[1:])), wiring)
    images = {place: _image(core) for place, core in cores.items()}
    return StepPlan(layers, list(places), images, wiring.connections)


def _check(places: Sequence[Place], layers: Sequence[Lowered], config: ChipConfig) -> None:
    if len(places) != len(layers) + 1:
        raise ValueError(
            f"places must be {len(layers) + 1}, of the input and of {len(layers)} layers, "
            f"not {len(places)}"
        )
    for column, row in places:
        if not (0 <= column < config.mesh.columns and 0 <= row < config.mesh.rows):
            raise ValueError(
                f"places must lie on a mesh of {config.mesh.columns} columns and "
                f"{config.mesh.rows} rows, which core {(column, row)} does not"
            )


def _layout(
    network: Network,
    layers: Sequence[Lowered],
    room: Room,
    batch: int,
    blocks: Mapping[int, GradientBlocks],
    there: Sequence[int],
) -> DramLayout:
    """The DRAM of a core, by the numbers of its places: it does FP of the layer in front of each,
    and WG of the layer behind.
    """
    gradients = [index for index in there if index < len(layers)]
    cuts: dict[str, set[int]] = {}
    for index in gradients:
        cuts |= gradient_first_rows(layers[index], blocks[index])
    return DramLayout(
        network,
        layers,
        room,
        batch=batch,
        forward=[index - 1 for index in there if index],
        gradients=gradients,
        cuts=cuts,
    )


def _pipeline(
    homes: Sequence[CorePlan],
    layers: Sequence[Lowered],
    parts: Sequence[range],
    blocks: Mapping[int, GradientBlocks],
    wiring: Wiring,
) -> None:
    """Adds everything up to the gradients; ``homes`` are those of the input and of all layers."""
    context = homes[0].context
    words = MapWords(room=context.room, samples=len(parts[0]))
    total = len(parts) * context.network.steps
    spikes: list[Edge | None] = [None]
    received = {}
    edges = []
    for layer in layers:
        index, before, core = layer.index, homes[layer.index], homes[layer.index + 1]
        edge = Edge(
            wiring,
            core.bp,
            before.bp,
            route=("du", "bp.du_next"),
            slots=before.du_next[index].bases,
            words=words.neurons(layer),
            total=total,
        )
        edges.append(edge)
        received[index] = Received(before, layer, edge, kept=index > 0)
        if index:
            spikes.append(
                Edge(
                    wiring,
                    before.fp,
                    core.fp,
                    route=("s_out", "fp.s_in"),
                    slots=core.s_in[index].bases,
                    words=words.inputs(layer),
                    total=total,
                )
            )
    spikes.append(None)
    # Of works that could go on, short ones are first, and then those behind which least is left.
    works = received[0].works()
    behind = [*(layer.dense_cycles for layer in layers[1:]), 0]
    for layer in sorted(layers, key=lambda each: behind[each.index]):
        index = layer.index
        works += BackwardStage(
            homes[index + 1], layer, received.get(index + 1), edges[index]
        ).works()
    for layer in sorted(reversed(layers), key=lambda each: each.dense_cycles):
        index = layer.index
        works += ForwardStage(homes[index + 1], layer, spikes[index], spikes[index + 1]).works()
    for core in dict.fromkeys(homes):
        works += GradientStage(core, received, blocks).works()
    schedule(works)
