"""NOC_DATA and NOC_CTRL: what sub-cores give each other, within a core and beyond."""

from __future__ import annotations

import enum

from backspike.hw.isa.control import BOXES
from backspike.hw.isa.instruction import (
    ONE,
    Access,
    AtMost,
    Fault,
    Instruction,
    MultiplyAdd,
    Operand,
)
from backspike.hw.isa.operands import ADDRESS_MAX, IsaShape, choices, count, numbered, same, stride

__all__ = ["TAG_BITS", "Control", "Flow", "noc_ctrl", "noc_data"]

TAG_BITS = 8
_ROUTES_MAX = 8
"""More than there are routes: so numbers of flow and route make one number."""


class Flow(enum.Enum):
    """``flow_type`` of NOC_DATA: where the words go.

    To another SRAM of the core; to another core, over a connection; or to both.
    """

    CORE = 0
    UNICAST = 1
    MULTICAST = 2


class Control(enum.Enum):
    """``flow_type`` of NOC_CTRL.

    SIGNAL: a message for the other sub-core. CLEAR: forget the statuses, and those received.
    COLLECT: statuses of this sub-core and the other one, and those that both have received, decide
    what WU does from here on. REMOTE_SIGNAL: a message over a connection. REMOTE_COLLECT: the same,
    with those statuses, which the sub-core at the other end receives.
    """

    SIGNAL = 0
    CLEAR = 1
    COLLECT = 2
    REMOTE_SIGNAL = 3
    REMOTE_COLLECT = 4


_TAG = Operand("tag_id", 0, (1 << TAG_BITS) - 1, "connection, for what leaves the core")


def noc_data(
    opcode: int,
    shape: IsaShape,
    subcore: str,
    routes: tuple[tuple[str, str], ...],
    *,
    inner: int,
    own: tuple[int, ...],
) -> Instruction:
    """The first ``inner`` of the ``routes`` are there inside of the core.

    ``own`` are those among them that a MULTICAST takes besides; without any there is none.
    """
    flows = list(Flow) if own else [Flow.CORE, Flow.UNICAST]
    outer = tuple(
        _access(shape, sram, end, (("data_type", number),))
        for number, (here, there) in enumerate(routes)
        for end, sram in (("source", f"{subcore}.{here}"), ("destination", there))
    )
    besides = tuple(
        _access(
            shape,
            routes[route][1],
            "own",
            (("flow_and_route", Flow.MULTICAST.value * _ROUTES_MAX + number),),
        )
        for number, route in enumerate(own)
    )
    names = ["source", "destination", "words", "rows", "source_row", "destination_row"]
    if own:
        names += ["own", "own_row"]
    return Instruction(
        "NOC_DATA",
        opcode,
        "noc",
        "Copies rows of words to another SRAM, of the core or of one behind a connection; it is "
        "done when all are written there.",
        _data_operands(flows, routes, inner, own=bool(own)),
        (
            # 0 for UNICAST, which has all routes, and 1 for the others.
            MultiplyAdd("but_unicast", "flow_type", 1, plus=-Flow.UNICAST.value),
            MultiplyAdd("no_unicast", "but_unicast", "but_unicast"),
            MultiplyAdd(
                "last_route",
                "no_unicast",
                len(routes) - inner,
                plus=len(routes) - 1,
                minus=True,
            ),
            AtMost("data_type", "last_route", Fault.OPERAND),
            MultiplyAdd("flow_and_route", "flow_type", _ROUTES_MAX, plus="data_type"),
            *outer,
            *besides,
        ),
        {**same(*names, "tag_id"), "route": "data_type", "flow": "flow_type", "moves": ONE},
    )


def _data_operands(
    flows: list[Flow], routes: tuple[tuple[str, str], ...], inner: int, *, own: bool
) -> tuple[Operand, ...]:
    operands = (
        Operand("flow_type", 0, len(flows) - 1, choices(flows)),
        Operand(
            "data_type",
            0,
            len(routes) - 1,
            numbered(f"{here} to {there}" for here, there in routes)
            + f"; from {inner} on UNICAST only",
        ),
        _TAG,
        Operand("source", 0, ADDRESS_MAX, "first word here"),
        Operand("destination", 0, ADDRESS_MAX, "first word there"),
        Operand("words", 1, ADDRESS_MAX + 1, "words of a row"),
        count("rows", "rows"),
        stride("source_row", "words from one row to the next"),
        stride("destination_row", "words from one row to the next"),
    )
    if not own:
        return operands
    return (
        *operands,
        Operand("own", 0, ADDRESS_MAX, "MULTICAST: first word in the own core"),
        stride("own_row", "words from one row to the next there"),
    )


def _access(shape: IsaShape, sram: str, end: str, when: tuple[tuple[str, int], ...]) -> Access:
    return Access(
        sram,
        shape.size(sram),
        end,
        (("rows", f"{end}_row"), ("words", ONE)),
        when=when,
        writes=end != "source",
    )


def noc_ctrl(opcode: int) -> Instruction:
    return Instruction(
        "NOC_CTRL",
        opcode,
        "noc",
        "Puts a message in a box of the other sub-core, or of one behind a connection; or clears "
        "or collects the statuses.",
        (
            Operand("flow_type", 0, len(Control) - 1, choices(Control)),
            _TAG,
            Operand("msg_box", 0, BOXES - 1, "box that a message is put in"),
        ),
        (),
        same("flow_type", "msg_box", "tag_id"),
    )
