"""Without this, the compiler could take decoders for faster or slower than they are."""

from __future__ import annotations

import pytest

from backspike.compiler.order.cycles import decode_cycles
from backspike.hw.isa.table import IsaShape, instruction_set


def test_decoding_takes_about_as_long_as_was_measured():
    """The figure ``instruction_interval``: 112 cycles for the slowest shortest instruction."""
    slowest = max(max(decode_cycles(IsaShape(), name).values()) for name in ("fp", "bp"))
    assert slowest == pytest.approx(112, rel=0.05)


@pytest.mark.parametrize("subcore", ["fp", "bp"])
def test_decoding_takes_longer_than_reading_the_words(subcore):
    cycles, instructions = decode_cycles(IsaShape(), subcore), instruction_set(IsaShape(), subcore)
    assert all(each > instructions[name].words for name, each in cycles.items())
