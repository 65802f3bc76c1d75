"""The loss and its gradient, by vector instructions of the BP sub-core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backspike.compiler.lowering.layout import Layout
from backspike.compiler.lowering.neuron import NeuronArea
from backspike.compiler.memory.parts import Ring, span
from backspike.compiler.planning.context import Builder
from backspike.hw.isa.neuron.command import Destination, Operation, Source
from backspike.sim.model import round_values

__all__ = ["LOSS_SCALE", "BackwardRings", "loss"]

LOSS_SCALE = "loss_scale"
"""Name of the scalar that the error is multiplied by: loss_scale / (N * T)."""


@dataclass(kw_only=True)
class BackwardRings:
    """SRAMs of the BP sub-core that Grad uses in turn; WG has the rest of the last one."""

    conv: Ring
    u: Ring
    du: Ring
    s: Ring

    @classmethod
    def of(cls, builder: Builder) -> BackwardRings:
        """Of a core."""
        return cls(
            conv=builder.halves("conv_bp"),
            u=builder.halves("u"),
            du=builder.halves("du"),
            s=builder.quarters("s", 0),
        )


def loss(builder: Builder, rings: BackwardRings, tiles: range, samples: range) -> int:
    """Adds what makes the gradient of the loss, as
    :func:`backspike.sim.model.network.loss_gradient`.

    Returns the first word in bp.conv_bp, where it is conv_bp of the last layer at every step.
    """
    context = builder.context
    channels = context.layers[-1].area(range(1), tiles, 1).m_size
    area = NeuronArea(h_size=1, w_size=1, m_size=channels, samples=len(samples))
    what = f"{span('sample', samples)}, {span('output tile', tiles)}"
    one = {"steps": range(1), "samples": samples, "tiles": tiles}
    rates, error = Layout(base=rings.du.take()), Layout(base=rings.du.take())
    _rates(builder, rings, area, rates, tiles, samples, what)
    copies = context.layout.rates.copies(rates.base, **one)
    builder.move("DMA_WR", "du", copies, reason=f"rates of {what}")
    targets = Layout(base=rings.u.take())
    copies = context.layout.targets.copies(targets.base, **one)
    builder.move("DMA_RD", "u", copies, reason=f"targets of {what}", relies=range(0))
    operands = builder.elements.grad_vector(
        area, Operation.SUBTRACT, x=Source.DU, y=Source.U, du=rates, u=targets, write=error
    )
    builder.add("BP_VECTOR", operands, reason=f"errors of {what}")
    psums = rings.conv.take()
    operands = builder.elements.grad_vector(
        area,
        Operation.MULTIPLY,
        x=Source.DU,
        y=Source.SCALAR,
        du=error,
        to=Destination.CONV,
        write=Layout(base=psums),
    )
    builder.add(
        "BP_VECTOR",
        operands,
        reason=f"gradient of the loss of {what}",
        scalars={"scalar": LOSS_SCALE},
    )
    return psums


def _rates(
    builder: Builder,
    rings: BackwardRings,
    area: NeuronArea,
    rates: Layout,
    tiles: range,
    samples: range,
    what: str,
) -> None:
    """Firing rates of the last layer: its spikes, summed up over all steps and divided by T."""
    context = builder.context
    steps, spikes = context.network.steps, context.layout.s_out[context.layers[-1].index]
    vector: Callable[..., dict[str, Any]] = builder.elements.grad_vector
    for t in range(steps):
        bits = rings.s.take()
        copies = spikes.copies(bits, steps=range(t, t + 1), samples=samples, tiles=tiles)
        reason = f"spikes of the last layer, {what}, step {t}"
        builder.move("DMA_RD", "s", copies, reason=reason, relies=samples)
        operands = vector(
            area,
            Operation.ADD,
            x=Source.DU if t else Source.SCALAR,
            y=Source.BITS,
            du=rates,
            bits=Layout(base=bits),
            write=rates,
        )
        builder.add("BP_VECTOR", operands, reason=f"spikes so far of {what}, step {t}")
    share = context.code(float(round_values(1 / steps, context.network.format)))
    operands = vector(
        area,
        Operation.MULTIPLY,
        x=Source.DU,
        y=Source.SCALAR,
        scalar=share,
        du=rates,
        write=rates,
    )
    builder.add("BP_VECTOR", operands, reason=f"rates of {what}")
