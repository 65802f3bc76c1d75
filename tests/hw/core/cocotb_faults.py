"""Programs that are wrong: where they stop, why, and that nothing behind that point is done."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import cocotb
import numpy as np

from backspike.hw.isa.encoding import SELECTORS, WORD_BYTES
from backspike.hw.isa.instruction import Fault
from backspike.hw.isa.table import BOX_MESSAGES, LOOP_LEVELS, UNITS
from tests.hw.core.bench import DATA, DRAM_BYTES, Bench
from tests.hw.core.corrupt import WORK, corrupted, paired_scene
from tests.hw.core.draw import COMPUTES, draw_instruction

SOON = 20_000
"""A time-out in cycles: longer than any instruction here takes."""
PATIENCE = 3 * WORK
"""A time-out that no corrupted programs reach while anything is at work."""


class Wrong:
    """Builds programs with one instruction that is changed behind the builder's back."""

    def __init__(self, bench: Bench, subcore: str):
        self.program = bench.program(subcore)
        self._draw = bench.draw(subcore)
        self._random = bench.random
        self.at = 0

    def add(self, mnemonic: str, **changes: int) -> None:
        """An instruction that is legal but for ``changes``; others come before and after it."""
        self._other()
        subcore, names = self.program.subcore, self.program.instructions
        if mnemonic in COMPUTES[subcore]:
            operands = draw_instruction(self._draw, subcore, mnemonic)
        else:
            operands = names[mnemonic].fill({})
        self.at = self.program.add(mnemonic, operands, reason="")
        order = [operand.name for operand in names[mnemonic].operands]
        for name, value in changes.items():
            index = order.index(name)
            place = self.at + 2 + index + index // SELECTORS
            self.program.words[place] = value & 0xFFFFFFFF
        self._other()
        self.program.end()

    def _other(self) -> None:
        subcore = self.program.subcore
        for _ in range(2):
            mnemonic = str(self._random.choice(list(COMPUTES[subcore])))
            operands = draw_instruction(self._draw, subcore, mnemonic)
            self.program.add(mnemonic, operands, reason="")
            self.program.barrier(UNITS[subcore], after=UNITS[subcore], reason="in order")


WRONG = {
    # Each kind of fault, in each way that it comes about.
    (Fault.OPERAND, "fp", "FP_CONV"): {"kernel_w": 8},
    (Fault.OPERAND, "bp", "BP_GRAD"): {"pooling": 0},
    (Fault.OPERAND, "fp", "NOC_DATA"): {"flow_type": 2, "data_type": 4},
    (Fault.OPERAND, "bp", "NOC_DATA"): {"data_type": 2},
    (Fault.OPERAND, "fp", "NOC_CTRL"): {"msg_box": 8},
    (Fault.OPERAND, "bp", "DMA_RD"): {"sram": 8},
    (Fault.OPERAND, "bp", "BARRIER"): {"units": 128},
    (Fault.OPERAND, "bp", "LOOP"): {"register_3": 16},
    (Fault.LIMIT, "fp", "FP_CONV"): {"last_tiles": 31, "group_tiles": 1},
    (Fault.LIMIT, "bp", "BP_CONV"): {"group_tiles": 31, "last_tiles": 1},
    (Fault.LIMIT, "fp", "FP_SOMA"): {"last_rows": 4, "pooling": 1},
    (Fault.LIMIT, "bp", "BP_VECTOR"): {"operation": 4, "destination": 0},
    (Fault.LIMIT, "fp", "FP_VECTOR"): {"operation": 1, "destination": 2},
    (Fault.TERMS, "fp", "FP_CONV"): {"shift": 15, "in_groups": 1, "group_tiles": 1}
    | {"last_tiles": 1, "row_groups": 1, "group_rows": 2, "last_rows": 2},
    (Fault.TERMS, "bp", "BP_CONV"): {"in_groups": 4095, "group_tiles": 1, "last_tiles": 1}
    | {"row_groups": 3, "group_rows": 1, "last_rows": 1},
    (Fault.TERMS, "bp", "WG_CONV"): {"samples": 2048, "steps": 64, "out_h": 2, "out_w": 1},
    (Fault.ADDRESS, "fp", "FP_CONV"): {"w_base": 65535},
    (Fault.ADDRESS, "bp", "BP_CONV"): {"out_base": 65535},
    (Fault.ADDRESS, "bp", "WG_CONV"): {"dw_base": 65535},
    (Fault.ADDRESS, "fp", "FP_SOMA"): {"s_out_base": 65535, "pooling": 1, "last_rows": 1}
    | {"last_columns": 1},
    (Fault.ADDRESS, "bp", "BP_GRAD"): {"u_row": -65535, "window_rows": 3},
    (Fault.ADDRESS, "bp", "WU"): {"v": 65535},
    (Fault.ADDRESS, "fp", "DMA_RD"): {"base": 65535},
    (Fault.ADDRESS, "bp", "DMA_WR"): {"words": 65536},
    (Fault.ADDRESS, "bp", "NOC_DATA"): {"destination": 65535},
    (Fault.ALIGNMENT, "fp", "DMA_RD"): {"dram": 65537},
    (Fault.ALIGNMENT, "bp", "DMA_WR"): {"dram_row": 4, "rows": 2, "words": 1, "base": 0},
}


@cocotb.test()
async def bad_operands(dut: Any) -> None:
    bench = await Bench.started(dut, 10)
    for (fault, subcore, mnemonic), changes in WRONG.items():
        wrong = Wrong(bench, subcore)
        wrong.add(mnemonic, **changes)
        scene = bench.scene(wrong.program)
        found = await bench.run(scene, f"{mnemonic} {changes}")
        what = (mnemonic, changes, found[subcore])
        assert (found[subcore].fault, found[subcore].position) == (fault, wrong.at), what


@cocotb.test()
async def bad_words_and_loops(dut: Any) -> None:
    bench = await Bench.started(dut, 11)
    headers = {
        Fault.OPCODE: (0x00, 0xFF, 0x0D | 7 << 8, 0x02 | 50 << 8),
        Fault.LENGTH: (0x01 | 41 << 8, 0x01 | 42 << 8 | 1 << 16, 0x0F),
    }
    for fault, words in headers.items():
        for word in words:
            wrong = Wrong(bench, "fp")
            wrong.add("FP_CONV")
            wrong.program.words[wrong.at] = word
            scene = bench.scene(wrong.program)
            found = (await bench.run(scene, f"header {word:#x}"))["fp"]
            assert (found.fault, found.position) == (fault, wrong.at), (hex(word), found)

    loop = {"count": 2, "length": 1000}
    deep, crossing, unended = (bench.program("fp") for _ in range(3))
    for _ in range(LOOP_LEVELS):
        deep.add("LOOP", loop, reason="")
    at = {"deep": deep.add("LOOP", loop, reason="one too many")}
    crossing.add("LOOP", {"count": 2, "length": 3}, reason="ends inside of an instruction")
    crossing.add("NOC_CTRL", {}, reason="")
    at["crossing"] = len(crossing.words)
    unended.add("LOOP", loop, reason="")
    at["unended"] = len(unended.words)
    for name, program in (("deep", deep), ("crossing", crossing), ("unended", unended)):
        program.end()
        scene = bench.scene(program)
        found = (await bench.run(scene, name))["fp"]
        assert (found.fault, found.position) == (Fault.LOOP, at[name]), (name, found)


@cocotb.test()
async def waits_that_never_end(dut: Any) -> None:
    bench = await Bench.started(dut, 12)
    for case in range(6):
        fp, bp = bench.program("fp"), bench.program("bp")
        draw = bench.draw("fp")
        fp.add("FP_CONV", draw_instruction(draw, "fp", "FP_CONV"), reason="")
        fp.barrier("soma", after="fp", boxes=[case], reason="nobody sends this")
        at = fp.add("FP_SOMA", draw_instruction(draw, "fp", "FP_SOMA"), reason="")
        if case % 2:
            fp.barrier("fp", after="soma", reason="")
            # The first unit that waits is told.
            at = fp.add("FP_CONV", draw_instruction(draw, "fp", "FP_CONV"), reason="")
        fp.end()
        # The other sub-core fills a box that nobody empties, and then waits as well.
        full = bp.add("NOC_CTRL", {"msg_box": 7}, reason="")
        for _ in range(BOX_MESSAGES):
            full = bp.add("NOC_CTRL", {"msg_box": 7}, reason="")
        bp.end()
        scene = bench.scene(fp, bp)
        found = await bench.run(scene, f"case {case}", timeout=SOON)
        for subcore, position in (("fp", at), ("bp", full)):
            outcome = found[subcore]
            assert (outcome.fault, outcome.position) == (Fault.TIMEOUT, position), (case, outcome)

    # Behind one that waits its unit has room for another one: the decoder goes on.
    fp, draw = bench.program("fp"), bench.draw("fp")
    fp.barrier("soma", boxes=[0], reason="nobody sends this")
    at = fp.add("FP_SOMA", draw_instruction(draw, "fp", "FP_SOMA"), reason="")
    for mnemonic in ("FP_SOMA", "FP_CONV", "FP_SOMA", "DMA_RD"):
        fp.add(mnemonic, draw_instruction(draw, "fp", mnemonic), reason="")
    fp.end()
    found = await bench.run(bench.scene(fp), "one behind it", timeout=SOON)
    assert (found["fp"].fault, found["fp"].position) == (Fault.TIMEOUT, at), found


@cocotb.test()
async def bus_errors(dut: Any) -> None:
    # DRAM ends here: behind the program, or in the middle of the data, or of the program.
    end = DATA["fp"][1]
    bench = await Bench.started(dut, 13, limit=end)
    beat = bench.config.dram.bus_bits // 8
    for case in range(12):
        mnemonic = ("DMA_RD", "DMA_WR")[case % 2]
        program, draw = bench.program("fp"), bench.draw("fp")
        program.add("FP_CONV", draw_instruction(draw, "fp", "FP_CONV"), reason="")
        words = int(bench.random.integers(1, 100))
        width = bench.config.srams["fp.u"].width // 8
        inside = int(bench.random.integers(0, words * width // beat + 1))
        transfer = {"sram": 3, "base": 7, "words": words, "dram": end - inside * beat}
        at = program.add(mnemonic, transfer, reason="reaches beyond the end of DRAM")
        program.barrier(UNITS["fp"], after=UNITS["fp"], reason="")
        program.add("FP_SOMA", draw_instruction(draw, "fp", "FP_SOMA"), reason="never starts")
        program.end()
        scene = bench.scene(program, dram_bytes=end)
        found = (await bench.run(scene, f"{mnemonic} case {case}"))["fp"]
        expected = Fault.BUS if inside * beat < words * width else Fault.NONE
        assert found.fault is expected, found
        assert found.position == (at if expected else 0), found

    # What is queued behind the error does not start; what the decoder finds meanwhile is not told.
    for case in range(8):
        mnemonic = ("DMA_RD", "DMA_WR")[case % 2]
        program = bench.program("fp")
        transfer = {"sram": 3, "words": 50, "dram": end - 64}
        at = program.add(mnemonic, transfer, reason="reaches beyond the end of DRAM")
        for number in range(3):
            transfer = {"sram": 3, "base": 50, "words": 30, "dram": DATA["fp"][0] + 512 * number}
            behind = program.add(mnemonic, transfer, reason="never starts")
        if case >= 4:
            program.words[behind + 2] = 99
        program.end()
        scene = bench.scene(program, dram_bytes=end)
        found = (await bench.run(scene, f"{mnemonic} behind an error, case {case}"))["fp"]
        assert (found.fault, found.position) == (Fault.BUS, at), found

    # A program that goes on behind the end.
    program = bench.program("fp")
    for _ in range(8):
        last = program.add("NOC_CTRL", {"flow_type": 1}, reason="")
    scene = bench.scene(program, dram_bytes=end)
    place = end - len(program.words) * WORD_BYTES // 128 * 128
    scene.programs["fp"] = place
    raw = np.array(program.words, "<u4").view(np.uint8)[: end - place]
    scene.dram[place:] = raw
    found = (await bench.run(scene, "a program that leaves DRAM"))["fp"]
    assert found.fault is Fault.FETCH, found
    assert 0 < found.position <= last, found


@cocotb.test()
async def corrupted_programs(dut: Any) -> None:
    """Any word of two programs changed: they do what the model says, or stop where that stops."""
    bench = await Bench.started(dut, 14)
    random, cases = bench.random, int(os.environ["CORRUPTED"])
    faults: Counter[Fault] = Counter()
    unsettled = 0
    for case in range(cases):
        if case % 20 == 0:
            scene = paired_scene(random, bench.config, DRAM_BYTES, dram=DATA)
        changed, settled = corrupted(random, scene)
        outcomes = await bench.run(changed, f"case {case}", timeout=PATIENCE, settled=settled)
        unsettled += not settled
        faults.update(outcome.fault for outcome in outcomes.values())
    print(f"{cases} programs: {dict(faults)}, {unsettled} not compared")
    assert unsettled <= cases // 20
    assert cases < 1000 or len(faults) >= 8, faults
