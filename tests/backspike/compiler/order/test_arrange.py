"""Without these, programs could do something else in the order that suits the decoders best."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.compiler.order.arrange import arrange
from backspike.compiler.order.hazards import OrderedProgram
from backspike.hw.isa.table import SRAMS
from backspike.hw.presets import load

TINY = load("tiny")
U = SRAMS["fp"].index("u")
FAR = 1 << 20


def dma(program, mnemonic, first, words=4, dram=None, **waits):
    """Between fp.u and DRAM; by default where nothing else is."""
    number = len(program.entries)
    dram = FAR + 4096 * number if dram is None else dram
    operands = {"sram": U, "base": first, "words": words, "dram": dram}
    return program.add(mnemonic, operands, reason=str(number), **waits)


def double(program, source, target, words=4):
    """A vector operation from fp.u to fp.u."""
    operands = {
        "operation": 1,
        "x": 1,
        "y": 1,
        "window_columns": words,
        "last_lanes": 4,
        "u_base": source,
        "write_base": target,
    }
    return program.add("FP_VECTOR", operands, reason=str(len(program.entries)))


def tell(program, **waits):
    """A message that leaves the core."""
    return program.add("NOC_CTRL", {"flow_type": 3}, reason=str(len(program.entries)), **waits)


def order(program):
    """The numbers of its instructions, as they were added, in the order they are in."""
    return [int(entry.reason) for entry in program.entries]


@pytest.mark.parametrize("seed", range(10))
def test_what_must_stay_in_order_does(seed):
    rng = np.random.default_rng(seed)
    programs = [OrderedProgram(TINY, "fp") for _ in range(3)]
    sent, added = [], [[] for _ in programs]
    for _ in range(600):
        number = int(rng.integers(len(programs)))
        program = programs[number]
        program.work = int(rng.integers(4))
        first, words = int(rng.integers(100)), int(rng.integers(1, 9))
        kind = rng.random()
        waits = {}
        if sent and kind < 0.2:
            comes = sent[int(rng.integers(max(0, len(sent) - 5), len(sent)))]
            waits = {"boxes": (1,), "comes": comes[0]}
            added[number].append(comes)
        else:
            added[number].append(None)
        if kind < 0.35:
            dma(program, "DMA_RD", first, words, **waits)
        elif kind < 0.5:
            dma(program, "DMA_WR", first, words, int(rng.integers(64)) * 32)
        elif kind < 0.8:
            double(program, first, int(rng.integers(100)), words)
        else:
            place = number, len(program.entries)
            sent.append((tell(program), place))
    arrange(programs)
    orders = [order(program) for program in programs]
    for program, found in zip(programs, orders, strict=True):
        assert found != sorted(found)
        entries = program.entries
        for later, mine in enumerate(entries):
            for earlier in entries[:later]:
                if int(earlier.reason) < int(mine.reason):
                    continue
                # These two have changed places.
                assert (earlier.unit, earlier.work) != (mine.unit, mine.work)
                assert not any(
                    one.conflicts(other) for one in earlier.touches for other in mine.touches
                )
    # No two programs wait for each other: all can go on in some order up to their ends.
    at, done = [0] * len(programs), set()
    while True:
        moved = False
        for number, found in enumerate(orders):
            while at[number] < len(found):
                needs = added[number][found[at[number]]]
                if needs and needs[1] not in done:
                    break
                done.add((number, found[at[number]]))
                at[number] += 1
                moved = True
        if not moved:
            break
    assert at == [len(found) for found in orders]


def test_who_waits_for_a_message_keeps_no_other_stream_from_working():
    slow, program = OrderedProgram(TINY, "fp"), OrderedProgram(TINY, "fp")
    double(slow, 0, 200, 100)
    message = tell(slow, exchanged=slow.entries[0].touches)
    program.work = 1
    dma(program, "DMA_RD", 0, boxes=(0,), comes=message)
    program.work = 2
    for number in range(3):
        dma(program, "DMA_RD", 10 + 10 * number)
    arrange([slow, program])
    assert order(program) == [1, 2, 3, 0]


def test_what_cannot_start_yet_comes_behind_what_can():
    """A store waits for what takes long; loads come in between, and a sum that is for them."""
    program = OrderedProgram(TINY, "fp")
    double(program, 0, 500, 200)
    dma(program, "DMA_WR", 500, 200)
    program.work = 1
    dma(program, "DMA_RD", 250)
    dma(program, "DMA_RD", 300)
    cycles = arrange([program])
    assert order(program) == [0, 2, 3, 1]
    assert cycles == program.entries[-1].end
    assert program.entries[-1].start >= program.entries[0].end
