"""NOC_DATA and NOC_CTRL: what the sub-cores of a core give each other."""

from __future__ import annotations

import enum

from hw.instruction import ONE, Access, AtMost, Fault, Instruction, Operand
from hw.operands import ADDRESS_MAX, IsaShape, choices, count, numbered, same, stride

__all__ = ["Control", "Flow", "noc_ctrl", "noc_data"]


class Flow(enum.Enum):
    """``flow_type`` of NOC_DATA: where the words go. Only CORE is built."""

    CORE = 0
    UNICAST = 1
    MULTICAST = 2


class Control(enum.Enum):
    """``flow_type`` of NOC_CTRL. REMOTE_SIGNAL and REMOTE_COLLECT are not built."""

    SIGNAL = 0
    CLEAR = 1
    COLLECT = 2
    REMOTE_SIGNAL = 3
    REMOTE_COLLECT = 4


_TAG = Operand("tag_id", 0, 255, "connection that a flow takes out of the core; 0 inside of it")


def _inside(last: enum.Enum) -> tuple[AtMost, ...]:
    """Flows behind ``last`` leave the core: they answer as illegal instructions do."""
    return (AtMost("flow_type", last.value, Fault.OPCODE), AtMost("tag_id", 0, Fault.OPERAND))


def noc_data(
    opcode: int, shape: IsaShape, subcore: str, routes: tuple[tuple[str, str], ...]
) -> Instruction:
    return Instruction(
        "NOC_DATA",
        opcode,
        "noc",
        "Copies rows of words to another SRAM of the core.",
        (
            Operand("flow_type", 0, len(Flow) - 1, f"{choices(Flow)}; but for 0, not built yet"),
            Operand(
                "data_type",
                0,
                len(routes) - 1,
                numbered(f"{here} to {there}" for here, there in routes),
            ),
            _TAG,
            Operand("source", 0, ADDRESS_MAX, "first word there"),
            Operand("destination", 0, ADDRESS_MAX, "first word here"),
            Operand("words", 1, ADDRESS_MAX + 1, "words of a row"),
            count("rows", "rows"),
            stride("source_row", "words from one row to the next"),
            stride("destination_row", "words from one row to the next"),
        ),
        _inside(Flow.CORE)
        + tuple(
            Access(
                sram,
                shape.size(sram),
                end,
                (("rows", f"{end}_row"), ("words", ONE)),
                when=(("data_type", number),),
                writes=end == "destination",
            )
            for number, (here, there) in enumerate(routes)
            for end, sram in (("source", f"{subcore}.{here}"), ("destination", there))
        ),
        {
            **same("source", "destination", "words", "rows", "source_row", "destination_row"),
            "route": "data_type",
            "moves": ONE,
        },
    )


def noc_ctrl(opcode: int, boxes: int) -> Instruction:
    return Instruction(
        "NOC_CTRL",
        opcode,
        "noc",
        "Puts a message in a box of the other sub-core, or clears or collects the statuses.",
        (
            Operand(
                "flow_type", 0, len(Control) - 1, f"{choices(Control)}; from 3 on not built yet"
            ),
            _TAG,
            Operand("msg_box", 0, boxes - 1, "box of the other sub-core that SIGNAL adds to"),
        ),
        _inside(Control.COLLECT),
        same("flow_type", "msg_box"),
    )
