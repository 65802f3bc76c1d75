"""Without these, a program with a race could pass for one whose outcome the model knows."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.compiler.assembling.program import Program
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import UNITS, Control, IsaShape
from backspike.hw.presets import load
from tests.hw.core.corrupt import corrupted, paired_scene
from tests.hw.core.race import racing_programs
from tests.hw.core.scene import Scene
from tests.hw.isa.decoding import decode_words
from tests.sim.model.machine.orders import any_slow, slow
from tests.sim.model.machine.races import PROGRAM, Unrolled, races

SEED = 4201
TINY = load("tiny")
WORD = TINY.srams["fp.u"].width // 8
DRAM_BYTES = 1 << 19
DATA = {"fp": (1 << 16, 1 << 17), "bp": (1 << 17, 1 << 18)}
CONV, U = 2, 3
"""Numbers of SRAMs of the FP sub-core, for DMA."""
FAR = 1 << 16
"""In DRAM, behind the programs."""
ALL = UNITS["fp"]


def program(*steps, subcore="fp"):
    """A program of BARRIERs, (units, after) or (units, after, boxes), and other instructions."""
    made = Program(IsaShape.from_config(TINY), subcore)
    for first, second, *boxes in steps:
        if isinstance(second, dict):
            made.add(first, second, reason="")
        else:
            made.barrier(first, after=second, boxes=boxes, reason="")
    made.end()
    return made


def scene(rng, *programs):
    """The programs, and memories full of numbers."""
    return Scene.of(rng, TINY, DRAM_BYTES, {each.subcore: each.words for each in programs})


def over(*programs):
    """What programs race for."""
    made = scene(np.random.default_rng(SEED), *programs)
    return {race.over for race in races(Unrolled(TINY, made.dram, made.programs))}


def read(base, words=4, dram=FAR, sram=U):
    return "DMA_RD", {"sram": sram, "base": base, "words": words, "dram": dram}


def write(base, words=4, dram=FAR, sram=U):
    return "DMA_WR", {"sram": sram, "base": base, "words": words, "dram": dram}


def signal(box):
    return "NOC_CTRL", {"msg_box": box}


def differs(rng, made, orders):
    """Whether the order in which the model's units have their turns decides."""
    expected = made.expected()
    return any(not expected.equals(made.expected(order=any_slow(rng))) for _ in range(orders))


def test_psums_that_are_read_and_added_to():
    """A barrier that leaves out one of the units, which a corrupted program once had.

    No order of the model shows that: the barrier waits until the transfer has started, and what has
    started is done there. Hardware did show it.
    """
    accumulate = ("FP_CONV", {"in_h": 1, "in_w": 4, "out_w": 4, "out_col": 1, "psum_acc": 1})
    rng = np.random.default_rng(SEED)
    but_fp = set(ALL) - {"fp"}
    for units, race, shows in ((ALL, False, False), (but_fp, True, False), ("soma", True, True)):
        made = program(read(0, sram=CONV), (units, ALL), accumulate)
        assert over(made) == ({"fp.conv_fp"} if race else set())
        here = scene(rng, made)
        late = here.expected(order=slow(rng, "fp", "read"))
        assert here.expected().equals(late) == (not shows)


def test_words_of_srams_and_bytes_of_dram():
    assert over(program(read(0), write(4, dram=2 * FAR))) == set()
    assert over(program(read(0), write(3, dram=2 * FAR))) == {"fp.u"}
    assert over(program(read(0), write(4, dram=FAR + 3 * WORD))) == {"dram"}
    assert over(program(write(0), write(3))) == set(), "of the same unit"
    # Every other word, of which none is the other's.
    rows = {"words": 1, "rows": 4, "sram_row": 2, "dram_row": 32}
    odd, even = ("DMA_WR", {**read(1, dram=2 * FAR)[1], **rows}), ("DMA_RD", read(0)[1] | rows)
    assert over(program(even, odd)) == set()


def test_what_barriers_and_the_decoder_make_wait():
    vector = ("FP_VECTOR", {"operation": 1, "x": 1, "y": 1, "u_base": 0, "write_base": 0})
    assert over(program(read(0), vector)) == {"fp.u"}
    assert over(program(read(0), ("soma", "read"), vector)) == set()
    # A unit knows what that has waited for which it waits for.
    chain = read(0), ("write", "read"), write(9, dram=2 * FAR), ("soma", "write"), vector
    assert over(program(*chain)) == set()
    # Two are at work or wait; the third is decoded when the first is done.
    apart = read(20, dram=3 * FAR), read(30, dram=3 * FAR)
    assert over(program(read(0), apart[0], vector)) == {"fp.u"}
    assert over(program(read(0), *apart, vector)) == set()


def test_messages():
    outward = "NOC_DATA", {"data_type": 1, "words": 4}
    bp_conv = "BP_CONV", {"mask": 1}
    for steps, found in (
        ((bp_conv,), {"bp.s"}),
        ((("bp", (), 3), bp_conv), set()),
        ((("bp", (), 4), bp_conv), set()),
    ):
        fp = program(outward, signal(3))
        bp = program(*steps, subcore="bp")
        assert over(fp, bp) == found
    # Who takes a message first, of two that wait for one.
    takers = program(("bp", (), 0), bp_conv, ("wg", (), 0), ("WG_CONV", {}), subcore="bp")
    assert over(program(signal(0), signal(0)), takers) >= {"box 0 of bp"}
    ordered = program(("bp", (), 0), bp_conv, ("wg", "bp", 0), ("WG_CONV", {}), subcore="bp")
    assert over(program(signal(0), signal(0)), ordered) == set()


def test_statuses():
    vector = ("BP_VECTOR", {"operation": 1, "x": 1, "y": 1})
    clear = ("NOC_CTRL", {"flow_type": Control.CLEAR.value})
    collect = ("NOC_CTRL", {"flow_type": Control.COLLECT.value})
    assert over(program(vector, clear, subcore="bp")) == {"bp.status"}
    assert over(program(vector, subcore="bp"), program(clear)) == set()
    assert over(program(vector, subcore="bp"), program(collect)) == {"bp.status"}
    assert over(program(vector, ("noc", "grad"), clear, subcore="bp")) == set()


def test_programs_that_are_written_to_and_those_that_stop():
    assert over(program(write(0, dram=0))) == {PROGRAM}
    beyond = read(0, dram=DRAM_BYTES)
    apart = write(9)
    assert over(program(beyond, apart)) == {"whether it still starts"}
    assert over(program(apart, ("read", "write"), beyond)) == set()
    assert over(program(beyond, ("write", "read"), apart)) == set()
    remote = "NOC_DATA", {"flow_type": Flow.UNICAST.value}
    assert over(program(remote, apart)) == {"whether it still starts"}


def test_loops():
    made = Program(IsaShape.from_config(TINY), "fp")
    with made.loop(3, 4, reason="") as (more,):
        made.add("DMA_RD", {**read(0)[1], "base": more}, reason="")
    made.add("DMA_WR", write(8, dram=2 * FAR)[1], reason="the last of three")
    made.end()
    assert over(made) == {"fp.u"}
    words = made.words
    dram = np.array(words, "<u4").view(np.uint8)
    steps = Unrolled(TINY, np.pad(dram, (0, DRAM_BYTES - len(dram))), {"fp": 0}).steps["fp"]
    assert [step.entry.operands["base"] for step in steps] == [0, 4, 8, 8]
    with pytest.raises(ValueError, match="the program of fp decodes more than 6 instructions"):
        Unrolled(TINY, dram, {"fp": 0}, limit=6)


@pytest.mark.parametrize("case", range(3))
def test_a_barrier_less_is_a_race_or_the_order_decides_nothing(case):
    """Barriers are those of the compiler: with all of them there is no race."""
    print(f"seed {SEED + case}")
    rng = np.random.default_rng(SEED + case)
    programs = racing_programs(rng, TINY, dram=DATA)
    made = scene(rng, *programs)
    assert not races(Unrolled(TINY, made.dram, made.programs))
    found = 0
    for each in programs:
        barriers = [
            decoded.position
            for decoded in decode_words(each.words, each.instructions.values())
            if decoded.instruction.mnemonic == "BARRIER" and decoded.operands["after"]
        ]
        for position in rng.choice(barriers, 3):
            words = each.word_of(int(position), "after")
            kept, each.words[words] = each.words[words], 0
            made = scene(rng, *programs)
            known = races(Unrolled(TINY, made.dram, made.programs))
            each.words[words] = kept
            found += bool(known)
            assert known or not differs(rng, made, orders=3)
    assert found


@pytest.mark.parametrize("case", range(3))
def test_of_corrupted_programs_without_a_race_the_order_decides_nothing(case):
    print(f"seed {SEED + case}")
    rng = np.random.default_rng(SEED + case)
    whole = paired_scene(rng, TINY, DRAM_BYTES, dram=DATA)
    for _ in range(10):
        made, settled = corrupted(rng, whole)
        assert not (settled and differs(rng, made, orders=2))
