"""Without these, BP could read what FP has not stored yet, or wait for what it does not need."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from backspike.compiler.order.arrange import arrange
from backspike.compiler.order.hazards import OrderedProgram
from backspike.compiler.planning.context import Builder
from backspike.hw.presets import load

TINY = load("tiny")
LATE = 200
"""Words of a vector operation that others wait for."""
VECTOR = {"operation": 1, "x": 1, "y": 1, "window_columns": LATE, "last_lanes": 4}


def told(parts):
    """FP tells of parts one by one, each later than the one before; BP reads potentials of each."""
    fp, bp = OrderedProgram(TINY, "fp"), Builder(SimpleNamespace(config=TINY), "bp")
    for number, samples in enumerate(parts):
        fp.add("FP_VECTOR", {**VECTOR, "write_base": LATE}, reason="makes potentials")
        operands = {"sram": 3, "base": LATE, "words": LATE, "dram": 4096 * number}
        fp.add("DMA_WR", operands, reason="stores them")
        message = fp.add("NOC_CTRL", {"msg_box": 0}, reason="tells so")
        bp.await_message(0, message, samples)
        read(bp, number, 1, f"u of part {number}")
    return fp, bp


def read(builder, number, work, reason, **relies):
    """A load from anywhere to anywhere."""
    builder.work = work
    copy = {"base": 8 * number, "words": 8, "dram": 1 << 20 | 4096 * number}
    builder.move("DMA_RD", "u", [copy], reason=reason, **relies)


@pytest.mark.parametrize(
    ("relies", "behind"),
    [
        ({"relies": range(0)}, None),
        ({"relies": range(1)}, "u of part 0"),
        ({"relies": range(2, 4)}, "u of part 1"),
        ({"relies": range(3, 5)}, "u of part 2"),
        ({}, "u of part 2"),
    ],
)
def test_reads_stay_behind_the_message_they_rely_on(relies, behind):
    fp, bp = told([range(2), range(2, 4), range(4, 6)])
    read(bp, 50, 2, "found", **relies)
    arrange([fp, bp])
    reasons = [entry.reason for entry in bp.entries]
    assert reasons.index("found") == (reasons.index(behind) + 1 if behind else 0)


def test_those_that_take_messages_stay_in_order():
    """Even if the second could be there first."""
    fp, bp = OrderedProgram(TINY, "fp"), Builder(SimpleNamespace(config=TINY), "bp")
    messages = [fp.add("NOC_CTRL", {"msg_box": 0}, reason="tells") for _ in range(2)]
    bp.add("BP_VECTOR", VECTOR, reason="works where the first comes to")
    for number, base in enumerate((0, 500)):
        bp.work = number
        bp.await_message(0, messages[number], range(number, number + 1))
        copy = {"base": base, "words": 8, "dram": 1 << 20 | 4096 * number}
        bp.move("DMA_RD", "du", [copy], reason=f"part {number}")
    arrange([fp, bp])
    assert [entry.reason for entry in bp.entries][1:] == ["part 0", "part 1"]
