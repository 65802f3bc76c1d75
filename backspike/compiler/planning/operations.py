"""Instructions that both planners add, when it is known where all that they touch lies."""

from __future__ import annotations

from typing import Unpack

from backspike.compiler.lowering.convolution import ConvLayer, bp_operands, fp_operands
from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.lowering.layout import Layout
from backspike.compiler.lowering.neuron import NeuronArea
from backspike.compiler.memory.parts import span
from backspike.compiler.order.entry import MessageWaits
from backspike.compiler.order.timeline import START, Moment
from backspike.compiler.planning.context import FORWARD_DONE, Builder
from backspike.compiler.planning.weights import Loaded
from backspike.hw.isa.neuron.command import Operation, Source
from backspike.hw.isa.table import Control

__all__ = [
    "add_fire",
    "add_grad",
    "add_soma",
    "clear_statuses",
    "collect_statuses",
    "convolve_backward",
    "convolve_forward",
    "tell_forward",
]


def clear_statuses(builder: Builder) -> None:
    """What the first instruction of a program does."""
    operands = {"flow_type": Control.CLEAR.value}
    builder.add("NOC_CTRL", operands, reason="forget statuses of the batch before")


def collect_statuses(builder: Builder, **waits: Unpack[MessageWaits]) -> None:
    """Lets the update go on, or not."""
    operands = {"flow_type": Control.COLLECT.value}
    builder.add("NOC_CTRL", operands, reason="a status stops the update", **waits)


def tell_forward(builder: Builder, samples: range, **waits: Unpack[MessageWaits]) -> Moment:
    """Tells the BP sub-core that FP of samples is done."""
    return builder.add(
        "NOC_CTRL",
        {"flow_type": Control.SIGNAL.value, "msg_box": FORWARD_DONE},
        reason=f"the forward pass of {span('sample', samples)} is in DRAM",
        **waits,
    )


def convolve_forward(
    builder: Builder,
    layer: Lowered,
    conv: ConvLayer,
    *,
    spikes: int,
    weights: int,
    psums: int,
    plane: int = 0,
    reason: str,
    **waits: Unpack[MessageWaits],
) -> Moment:
    """conv_fp of a bit plane, on top of that of the planes in front of it."""
    operands = fp_operands(
        conv,
        builder.engine,
        spikes=Layout(base=spikes),
        weights=weights,
        psums=Layout(base=psums),
        psum_acc=plane > 0,
        plane=plane,
        plane_top=layer.planes,
    )
    return builder.add("FP_CONV", operands, reason=reason, **waits)


def add_soma(
    builder: Builder,
    layer: Lowered,
    area: NeuronArea,
    *,
    conv: int,
    u: int,
    spike: int,
    s_out: int,
    before: tuple[int, int] | None,
    reason: str,
) -> Moment:
    """Potentials and spikes; ``before`` is where those of the step before lie, if there is one."""
    context, kind = builder.context, layer.layer
    operands = builder.elements.soma(
        area,
        t_acc=before is not None,
        alpha=context.code(kind.alpha),
        th_f=context.code(kind.th_f),
        conv=Layout(base=conv),
        u=Layout(base=u),
        spike=Layout(base=spike),
        s_out=Layout(base=s_out),
        u_prev=Layout(base=before[0]) if before else None,
        spike_prev=Layout(base=before[1]) if before else None,
        planes=layer.planes,
    )
    return builder.add("FP_SOMA", operands, reason=reason)


def add_fire(
    builder: Builder, layer: Lowered, area: NeuronArea, *, u: int, fire: int, reason: str
) -> Moment:
    """The map of neurons whose surrogate derivative is 1."""
    code = builder.context.code
    operands = builder.elements.grad_vector(
        area,
        Operation.COMPARE,
        x=Source.U,
        u=Layout(base=u),
        low=code(layer.layer.th_l),
        high=code(layer.layer.th_r),
        write=Layout(base=fire),
    )
    return builder.add("BP_VECTOR", operands, reason=reason)


def convolve_backward(
    builder: Builder,
    conv: ConvLayer,
    *,
    du: int,
    weights: Loaded,
    psums: int,
    fire: int | None,
    reason: str,
    **waits: Unpack[MessageWaits],
) -> Moment:
    """conv_bp; ``fire`` is where the mask lies, if there is one."""
    passes = bp_operands(
        conv,
        builder.engine,
        du=Layout(base=du),
        weights=weights.base,
        psums=Layout(base=psums),
        fire=None if fire is None else Layout(base=fire),
    )
    moment = START
    for operands in passes:
        operands["w_tile"] = weights.out_stride
        moment = builder.add("BP_CONV", operands, reason=reason, **waits)
        waits = {}
    return moment


def add_grad(
    builder: Builder,
    layer: Lowered,
    area: NeuronArea,
    *,
    conv: int,
    u: int,
    du: int,
    du_after: int | None,
    s_out: int | None,
    reason: str,
) -> Moment:
    """du; ``du_after`` is where that of the step behind lies, ``s_out`` the pooled spikes."""
    code, kind = builder.context.code, layer.layer
    operands = builder.elements.grad(
        area,
        t_acc=du_after is not None,
        alpha=code(kind.alpha),
        th_f=code(kind.th_f),
        th_l=code(kind.th_l),
        th_r=code(kind.th_r),
        conv=Layout(base=conv),
        u=Layout(base=u),
        du=Layout(base=du),
        du_next=None if du_after is None else Layout(base=du_after),
        s_out=None if s_out is None else Layout(base=s_out),
    )
    return builder.add("BP_GRAD", operands, reason=reason)
