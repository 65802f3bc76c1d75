"""Without these, instructions could overtake each other, or wait where nobody is in the way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from backspike.compiler.order.hazards import OrderedProgram
from backspike.compiler.order.touch import Touch
from backspike.hw.isa.instruction import ProgramError
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import OUTSTANDING, SRAMS, UNITS, Control
from backspike.hw.presets import load
from tests.hw.isa.decoding import decode_words

TINY = load("tiny")
WORD = TINY.srams["fp.u"].width // 8
U = SRAMS["fp"].index("u")
FAR = 1 << 20


class Listed:
    """A program of the FP sub-core of instructions on words of fp.u and bytes of DRAM."""

    def __init__(self):
        self.program = OrderedProgram(TINY, "fp")
        self.touched = []
        """Of each instruction: unit, and (space, first, last, writes)."""

    def read(self, first, words=4, dram=None):
        """DRAM to fp.u; by default from where nothing else is."""
        self._dma("DMA_RD", "read", first, words, dram)

    def write(self, first, words=4, dram=None):
        """The other way."""
        self._dma("DMA_WR", "write", first, words, dram)

    def _dma(self, mnemonic, unit, first, words, dram):
        dram = FAR + 32 * WORD * len(self.touched) if dram is None else dram
        operands = {"sram": U, "base": first, "words": words, "dram": dram}
        self.program.add(mnemonic, operands, reason=f"number {len(self.touched)}")
        writes = unit == "read"
        self.touched.append(
            (
                unit,
                ("u", first, first + words - 1, writes),
                ("dram", dram, dram + words * WORD - 1, not writes),
            )
        )

    def double(self, source, target, words=4):
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
        self.program.add("FP_VECTOR", operands, reason=f"number {len(self.touched)}")
        self.touched.append(
            (
                "soma",
                ("u", source, source + words - 1, False),
                ("u", target, target + words - 1, True),
            )
        )

    def control(self, flow, **others):
        """NOC_CTRL."""
        self.program.add("NOC_CTRL", {"flow_type": flow.value}, reason="control", **others)

    def listing(self):
        """All instructions as text; of barriers, who waits for whom."""
        made = self.program.finish()
        return [_text(each) for each in decode_words(made.words, made.instructions.values())]


def _text(decoded):
    if decoded.instruction.mnemonic != "BARRIER":
        return decoded.instruction.mnemonic
    units, after = (_units(decoded.operands[name]) for name in ("units", "after"))
    boxes = decoded.operands["boxes"]
    if decoded.operands["sub_type"]:
        return "END"
    return f"{'+'.join(units)} after {f'box {boxes}' if boxes else '+'.join(after)}"


def _units(mask):
    return [unit for number, unit in enumerate(UNITS["fp"]) if mask >> number & 1]


def listing(*steps):
    """The listing of a program: each of the steps is (method, arguments)."""
    listed = Listed()
    for method, *arguments in steps:
        getattr(listed, method)(*arguments)
    return listed.listing()


def test_conflicts_and_no_others():
    assert listing(("read", 0), ("write", 0)) == ["DMA_RD", "write after read", "DMA_WR", "END"]
    assert listing(("write", 0), ("read", 3)) == ["DMA_WR", "read after write", "DMA_RD", "END"]
    assert listing(("read", 0), ("double", 50, 3)) == [
        "DMA_RD", "soma after read", "FP_VECTOR", "END",
    ]  # fmt: skip
    assert listing(("write", 0), ("double", 0, 4)) == ["DMA_WR", "FP_VECTOR", "END"]
    assert listing(("read", 0), ("write", 4)) == ["DMA_RD", "DMA_WR", "END"]
    assert listing(("read", 0), ("read", 0)) == ["DMA_RD", "DMA_RD", "END"]


def test_dram():
    later = ("read", 100, 4, 4 * WORD)
    assert listing(("write", 0, 4, 0), later) == ["DMA_WR", "DMA_RD", "END"]
    assert listing(("write", 0, 5, 0), later) == ["DMA_WR", "read after write", "DMA_RD", "END"]
    assert listing(("read", 0, 5, 0), ("read", 9, 5, 0)) == ["DMA_RD", "DMA_RD", "END"]


def test_what_the_controller_has_waited_for_is_done():
    first, others = ("read", 0), [("read", 10 * n) for n in (1, 2)]
    assert listing(first, others[0], ("write", 0))[1] == "write after read"
    assert listing(first, *others, ("write", 0)) == ["DMA_RD"] * 3 + ["DMA_WR", "END"]


def test_a_barrier_waits_for_nothing_behind_what_is_needed():
    """The third load overwrites what the first store reads: it need not wait for the second."""
    steps = ("read", 0), ("write", 0), ("read", 10), ("write", 10), ("read", 0)
    assert listing(*steps) == [
        "DMA_RD", "write after read", "DMA_WR",
        "DMA_RD", "read+write after read+write", "DMA_WR",
        "DMA_RD", "END",
    ]  # fmt: skip


def test_what_is_known_by_way_of_another_is_not_waited_for_again():
    steps = ("read", 0), ("double", 0, 10), ("write", 10), ("read", 0)
    assert listing(*steps) == [
        "DMA_RD", "soma after read", "FP_VECTOR", "write after soma", "DMA_WR",
        "read after soma", "DMA_RD", "END",
    ]  # fmt: skip
    # What overwrites the sum waits for the store, which has waited for the sum.
    steps = ("double", 0, 10), ("write", 10), ("read", 10)
    assert listing(*steps)[-3:] == ["read after write", "DMA_RD", "END"]


@pytest.mark.parametrize("base", range(1, 5))
def test_rows_that_an_update_stores_lie_in_words(base):
    """Rows 8 to 15 of tiles are words 2 and 3 where a word has four of them."""
    program = OrderedProgram(load("tiny", ["array.weight_words=4"]), "bp")
    program.add("WU", {"words": 8, "w": 8, "v": 16, "stored": 8}, reason="an update")
    operands = {"sram": SRAMS["bp"].index("w"), "base": base, "words": 1}
    program.add("DMA_WR", operands, reason="a word of stored weights")
    made = program.finish()
    found = [
        each.instruction.mnemonic for each in decode_words(made.words, made.instructions.values())
    ]
    waits = ["BARRIER"] if base in (2, 3) else []
    assert found == ["WU", *waits, "DMA_WR", "BARRIER"]


def test_control_and_messages():
    listed = Listed()
    listed.control(Control.CLEAR)
    listed.double(0, 10)
    listed.write(50)
    listed.control(Control.SIGNAL, boxes=(2,))
    listed.read(60)
    assert listed.listing() == [
        "NOC_CTRL", "soma after noc", "FP_VECTOR", "DMA_WR", "noc after write",
        "noc after box 4", "NOC_CTRL", "DMA_RD", "END",
    ]  # fmt: skip


def test_what_goes_to_another_core_meets_nothing_of_the_own():
    """Its words there are no words here; a message behind it waits for its own unit only."""
    program = OrderedProgram(TINY, "fp")
    sram = SRAMS["fp"].index("s_in")
    program.add("DMA_RD", {"sram": sram, "words": 4, "dram": FAR}, reason="spikes")
    copy = {"flow_type": Flow.UNICAST.value, "words": 4}
    program.add("NOC_DATA", copy, reason="spikes for another core")
    operands = {"flow_type": Control.REMOTE_SIGNAL.value}
    program.add("NOC_CTRL", operands, reason="they are there")
    slot = Touch("fp.s_in", 2, 3, True)
    program.add("NOC_CTRL", operands, reason="others may come", exchanged=[slot])
    program.add("NOC_DATA", {**copy, "flow_type": Flow.CORE.value}, reason="to the own")
    made = program.finish()
    found = [_text(each) for each in decode_words(made.words, made.instructions.values())]
    assert found == [
        "DMA_RD", "NOC_DATA", "NOC_CTRL", "noc after read", "NOC_CTRL", "NOC_DATA", "END",
    ]  # fmt: skip


def test_statuses_for_other_cores_wait_for_all_that_sets_them():
    listed = Listed()
    listed.double(0, 10)
    listed.control(Control.REMOTE_COLLECT)
    listed.double(20, 30)
    assert listed.listing() == [
        "FP_VECTOR", "noc after soma", "NOC_CTRL", "soma after noc", "FP_VECTOR", "END",
    ]  # fmt: skip


def test_a_fence():
    listed = Listed()
    listed.read(0)
    listed.program.fence()
    listed.read(20)
    everything = "+".join(UNITS["fp"])
    assert listed.listing() == ["DMA_RD", f"{everything} after {everything}", "DMA_RD", "END"]


def test_loops_begin_and_end_with_everything_done():
    listed = Listed()
    listed.read(0)
    with listed.program.loop(3, 32, reason="three rounds") as (moved,):
        operands = {"sram": U, "base": 0, "words": 4, "dram": moved + FAR}
        listed.program.add("DMA_RD", operands, reason="a copy")
        listed.write(0)
    listed.write(20)
    everything = "+".join(UNITS["fp"])
    fence = f"{everything} after {everything}"
    assert listed.listing() == [
        "DMA_RD", "LOOP", fence, "DMA_RD", "write after read", "DMA_WR", fence, "DMA_WR", "END",
    ]  # fmt: skip


def test_what_the_hardware_refuses_is_refused_at_once():
    with pytest.raises(ProgramError, match="must keep its map within words"):
        Listed().read(TINY.srams["fp.u"].words - 3)


def stuck(decoded, slow):
    """The instructions that start while number ``slow`` never ends: (units, queues of two)."""
    queues = {unit: [] for unit in UNITS["fp"]}
    waiting = {unit: set() for unit in UNITS["fp"]}
    started, done, number = [], set(), 0
    program = list(decoded)
    while True:
        moved = False
        while program:
            instruction, operands = program[0].instruction, program[0].operands
            unit = instruction.unit
            if instruction.mnemonic == "BARRIER":
                for each in _units(operands["units"]):
                    for other in _units(operands["after"]):
                        waiting[each] |= {item for item, _ in queues[other]}
            elif len(queues[unit]) == OUTSTANDING:
                break
            else:
                queues[unit].append((number, waiting[unit]))
                waiting[unit], number = set(), number + 1
            program.pop(0)
            moved = True
        for queue in queues.values():
            if queue and queue[0][1] <= done and queue[0][0] not in started:
                started.append(queue[0][0])
                moved = True
            if queue and queue[0][0] in started and queue[0][0] != slow:
                done.add(queue.pop(0)[0])
        if not moved:
            return started


def overtakes(touched, decoded):
    """Pairs of conflicting instructions of which the second starts before the first is done."""
    found = []
    for first in range(len(touched)):
        for second in stuck(decoded, first):
            apart = touched[second][0] != touched[first][0]
            if second > first and apart and conflict(touched[first], touched[second]):
                found.append((first, second))
    return found


def conflict(first, second):
    """Whether two instructions, as Listed has touched them, may not change places."""
    return any(
        here == there and (a[2] or b[2]) and a[0] <= b[1] and b[0] <= a[1]
        for (here, *a), (there, *b) in itertools.product(first[1:], second[1:])
    )


def random_listed(rng):
    """Copies and sums within a few words."""
    listed = Listed()
    for _ in range(25):
        first, other = (int(each) for each in rng.integers(0, 24, 2))
        words = int(rng.integers(1, 6))
        dram = 32 * int(rng.integers(0, 40))
        match rng.integers(3):
            case 0:
                listed.read(first, words, dram)
            case 1:
                listed.write(first, words, dram)
            case _:
                listed.double(first, other, words)
    return listed


@pytest.mark.parametrize("seed", range(12))
def test_barriers_are_enough_and_none_is_too_many(seed):
    """Against another idea of what may happen: one instruction that takes for ever."""
    listed = random_listed(np.random.default_rng(seed))
    made = listed.program.finish()
    decoded = list(decode_words(made.words, made.instructions.values()))
    assert not overtakes(listed.touched, decoded)
    barriers = [n for n, each in enumerate(decoded[:-1]) if "after" in _text(each)]
    assert barriers
    needed = [n for n in barriers if overtakes(listed.touched, decoded[:n] + decoded[n + 1 :])]
    assert len(needed) >= 0.9 * len(barriers), f"{len(needed)} of {len(barriers)}"


def test_what_can_start_is_decoded_before_what_cannot():
    listed = Listed()
    for first in (0, 20):
        listed.read(first)
        listed.double(first, first + 10)
        listed.write(first + 10)
    listed.program.rearrange()
    assert listed.listing() == [
        "DMA_RD", "soma after read", "FP_VECTOR", "DMA_RD", "write after soma", "DMA_WR",
        "soma after read", "FP_VECTOR", "write after soma", "DMA_WR", "END",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(20, 26))
def test_what_may_not_change_places_does_not(seed):
    listed = random_listed(np.random.default_rng(seed))
    listed.program.phase("rest")
    listed.read(0)
    listed.program.rearrange()
    made = listed.program.finish()
    numbers = [int(each.split()[1]) for each in made.reasons.values() if "number" in each]
    assert numbers != sorted(numbers)
    for place, first in enumerate(numbers):
        for second in numbers[place + 1 :]:
            if second < first:
                one, other = listed.touched[first], listed.touched[second]
                assert one[0] != other[0] and not conflict(one, other)
    assert not overtakes(
        [listed.touched[number] for number in numbers],
        list(decode_words(made.words, made.instructions.values())),
    )
    (begins,) = made.phases
    assert next(why for at, why in made.reasons.items() if at >= begins and "number" in why) == (
        "number 25"
    )


def test_rows_that_lie_apart_in_dram_are_told_apart():
    def between(rows):
        """A store between the rows that are loaded."""
        listed = Listed()
        operands = {"sram": U, "words": 1, "rows": rows, "sram_row": 1, "dram_row": 64}
        listed.program.add("DMA_RD", operands, reason="rows")
        listed.write(100, 1, 32)
        return listed.listing()

    assert between(3) == ["DMA_RD", "DMA_WR", "END"]
    assert between(5) == ["DMA_RD", "write after read", "DMA_WR", "END"]
