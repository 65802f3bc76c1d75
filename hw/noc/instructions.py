"""NOC_DATA and NOC_CTRL: what the sub-cores of a core give each other."""

from __future__ import annotations

import enum

from hw.instruction import ONE, Access, Instruction, Operand
from hw.operands import ADDRESS_MAX, IsaShape, choices, count, numbered, same, stride

__all__ = ["Control", "Flow", "noc_ctrl", "noc_data"]


class Flow(enum.Enum):
    """``flow_type`` of NOC_DATA."""

    CORE = 0


class Control(enum.Enum):
    """``flow_type`` of NOC_CTRL."""

    SIGNAL = 0
    CLEAR = 1
    COLLECT = 2


_TAG = Operand("tag_id", 0, 0, "0 inside a core")


def noc_data(
    opcode: int, shape: IsaShape, subcore: str, routes: tuple[tuple[str, str], ...]
) -> Instruction:
    return Instruction(
        "NOC_DATA",
        opcode,
        "noc",
        "Copies rows of words to another SRAM of the core.",
        (
            Operand("flow_type", 0, 0, choices(Flow)),
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
        tuple(
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
            Operand("flow_type", 0, len(Control) - 1, choices(Control)),
            _TAG,
            Operand("msg_box", 0, boxes - 1, "box of the other sub-core that SIGNAL adds to"),
        ),
        (),
        same("flow_type", "msg_box"),
    )
