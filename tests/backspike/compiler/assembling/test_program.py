"""Without these, the builder could make a loop or an end that the hardware refuses."""

from __future__ import annotations

import pytest

from backspike.compiler.assembling.program import Program
from backspike.hw.isa.instruction import Fault, ProgramError
from backspike.hw.isa.table import IsaShape


def program():
    return Program(IsaShape(), "fp")


def test_a_loop_has_a_body():
    made = program()
    with pytest.raises(ProgramError, match=r"^length must be from 1 to 65535, not 0$") as caught:
        with made.loop(3, reason="of nothing"):
            pass
    assert caught.value.fault is Fault.OPERAND


def test_a_loop_is_not_too_long():
    made = program()
    with pytest.raises(ProgramError, match=r"^length must be from 1 to 65535, not 65536$"):
        with made.loop(3, reason="of too much"):
            made.words += [0] * (1 << 16)


def test_the_end_is_not_in_a_loop():
    made = program()
    with pytest.raises(ProgramError, match="must not end inside of a loop") as caught:
        with made.loop(3, reason=""):
            made.end()
    assert caught.value.fault is Fault.LOOP
