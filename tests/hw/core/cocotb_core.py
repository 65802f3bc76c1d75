"""The core against its model: the same programs, the same contents of all memories after them."""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hw.isa import UNITS, IsaShape
from hw.presets import load
from sim.harness.core import CoreBench, CoreDriver
from sim.harness.session import LEAST_DRAM
from sim.model.machine.core import Outcome
from tests.hw.core.draw import COMPUTES, Draw, draw_instruction, odd_instruction
from tests.hw.core.scene import PROGRAM_BYTES, Scene, serial_program
from toolchain.program import Program

DRAM_BYTES = 1 << 19
"""Addresses beyond are refused: random programs and contents are small."""
DATA = {"fp": (1 << 16, 1 << 17), "bp": (1 << 17, 1 << 18)}
"""Where in DRAM the programs of each sub-core find and put their data."""
SEED = 5301


class Bench:
    """The core under test; runs scenes on it."""

    def __init__(self, dut: Any):
        self.config = load(os.environ["CORE_CONFIG"])
        bench = CoreBench(self.config, dram_bytes=LEAST_DRAM)
        self.driver = CoreDriver(dut, bench)
        self.cycles = 0

    async def reset(self) -> None:
        """Resets the core; nothing is behind ``DRAM_BYTES``."""
        await self.driver.reset(limit=DRAM_BYTES)

    async def run(
        self, scene: Scene, what: object, *, timeout: int = 1 << 20, contents: bool = True
    ) -> dict[str, Outcome]:
        """Runs a scene, and compares all that is left behind, but for ``contents`` if false."""
        driver = self.driver
        driver.load(scene.memories)
        driver.dram[: len(scene.dram)] = scene.dram
        outcomes, memories, dram = scene.expected()
        found, cycles = await driver.run(scene.programs, timeout=timeout)
        self.cycles += cycles
        assert found == outcomes, f"{what}: {found} instead of {outcomes}"
        if contents:
            wrong = driver.memories().differences(memories)
            text = "\n".join(map(str, wrong[:8]))
            assert not wrong, f"{what}: {text}\n{len(wrong)} words"
            places = np.flatnonzero(driver.dram[: len(dram)] != dram)
            assert not len(places), f"{what}: DRAM differs at {places[:8]} of {len(places)}"
        return found


@cocotb.test()
async def every_instruction_alone(dut: Any) -> None:
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    bench = Bench(dut)
    await bench.reset()
    cases = int(os.environ["CORE_CASES"])
    for subcore, mnemonics in COMPUTES.items():
        for mnemonic in mnemonics:
            for case in range(cases):
                program = serial_program(
                    random, bench.config, subcore, [mnemonic], dram=DATA[subcore]
                )
                scene = Scene.of(random, bench.config, DRAM_BYTES, {subcore: program.words})
                await bench.run(scene, f"{mnemonic} case {case}")
    print(f"{bench.cycles} cycles")


@cocotb.test()
async def odd_operands(dut: Any) -> None:
    """Whatever passes the checks does what the model says, and comes to an end."""
    print(f"seed {SEED + 4}")
    random = np.random.default_rng(SEED + 4)
    bench = Bench(dut)
    await bench.reset()
    shape = IsaShape.from_config(bench.config)
    for case in range(int(os.environ["CORE_CASES"]) * 4):
        for subcore, mnemonics in COMPUTES.items():
            for mnemonic in mnemonics:
                program = Program(shape, subcore)
                draw = Draw(random, bench.config, dram=DATA[subcore])
                operands = odd_instruction(draw, subcore, mnemonic)
                program.add(mnemonic, operands, reason="")
                program.end()
                scene = Scene.of(random, bench.config, DRAM_BYTES, {subcore: program.words})
                await bench.run(scene, f"{mnemonic} case {case}: {operands}", timeout=50_000)


@cocotb.test()
async def random_programs_side_by_side(dut: Any) -> None:
    """Both sub-cores at once, on SRAMs and parts of DRAM of their own, whatever the bus does."""
    print(f"seed {SEED + 1}")
    random = np.random.default_rng(SEED + 1)
    bench = Bench(dut)
    await bench.reset()
    for case in range(int(os.environ["CORE_CASES"]) * 4):
        programs = {}
        for subcore, mnemonics in COMPUTES.items():
            chosen = random.choice([each for each in mnemonics if each != "NOC_DATA"], 8)
            program = serial_program(
                random, bench.config, subcore, [str(each) for each in chosen], dram=DATA[subcore]
            )
            programs[subcore] = program.words
        dut.stall.value = int(random.choice([0, 60, 200]))
        dut.latency.value = int(random.integers(2, 60))
        scene = Scene.of(random, bench.config, DRAM_BYTES, programs)
        await bench.run(scene, f"case {case}")
    print(f"{bench.cycles} cycles")


@cocotb.test()
async def messages_between_subcores(dut: Any) -> None:
    """What one sub-core has made is copied to the other, which waits for it, and back."""
    print(f"seed {SEED + 2}")
    random = np.random.default_rng(SEED + 2)
    bench = Bench(dut)
    await bench.reset()
    for case in range(int(os.environ["CORE_CASES"])):
        fp = Program(IsaShape.from_config(bench.config), "fp")
        bp = Program(IsaShape.from_config(bench.config), "bp")
        draws = {name: Draw(random, bench.config, dram=DATA[name]) for name in COMPUTES}

        def work(program: Program, mnemonic: str, draws: dict[str, Draw] = draws) -> None:
            operands = draw_instruction(draws[program.subcore], program.subcore, mnemonic)
            program.add(mnemonic, operands, reason="")

        rounds = int(random.integers(1, 5))
        for program, other, turn in ((fp, "BP", 0), (bp, "FP", 1)):
            units = UNITS[program.subcore]
            for number in range(rounds):
                if number or turn:
                    program.barrier("noc", boxes=[number % 8], reason=f"{other} is done")
                work(program, "NOC_DATA")
                program.barrier(units, after="noc", reason="")
                for _ in range(2):
                    work(program, str(random.choice(list(COMPUTES[program.subcore]))))
                    program.barrier(units, after=units, reason="one after the other")
                box = number if turn == 0 else number + 1
                program.add("NOC_CTRL", {"msg_box": box % 8}, reason="tells the other one")
            program.end()
        scene = Scene.of(random, bench.config, DRAM_BYTES, {"fp": fp.words, "bp": bp.words})
        await bench.run(scene, f"case {case}")


@cocotb.test()
async def loops_step_addresses(dut: Any) -> None:
    """Loops in loops, with the same and with other registers, ending together and apart."""
    print(f"seed {SEED + 3}")
    random = np.random.default_rng(SEED + 3)
    bench = Bench(dut)
    await bench.reset()
    size = bench.config.srams["fp.u"]
    bus = bench.config.dram.bus_bits // 8
    for case in range(int(os.environ["CORE_CASES"]) * 3):
        program = Program(IsaShape.from_config(bench.config), "fp")
        counts = [int(count) for count in random.integers(1, 4, 4)]
        words = max(1, size.words // (2 * int(np.prod(counts))))
        first = DATA["fp"][0]

        def body(
            depth: int, at: list, program=program, counts=counts, words=words, first=first
        ) -> None:
            if depth == len(counts):
                base, dram = at
                program.add(
                    "DMA_RD",
                    {"sram": 3, "base": base, "words": words, "rows": 1, "dram": dram},
                    reason="a part of u",
                )
                return
            inner = int(np.prod(counts[depth + 1 :]))
            with program.loop(
                counts[depth], inner * words, inner * bus * words, reason=f"level {depth}"
            ) as (more, further):
                # Registers of outer loops are added by instructions of their own level only.
                body(depth + 1, [more + at[0], further + at[1]] if depth == 3 else at)
                if random.integers(2):
                    program.add(
                        "DMA_WR",
                        {"sram": 3, "base": more, "words": 1, "rows": 1, "dram": further + first},
                        reason="and something behind it",
                    )
                    program.barrier(("read", "write"), after=("read", "write"), reason="")

        body(0, [0, first + (1 << 15)])
        program.end()
        scene = Scene.of(random, bench.config, DRAM_BYTES, {"fp": program.words})
        await bench.run(scene, f"case {case}: counts {counts}")


assert DATA["fp"][0] >= 2 * PROGRAM_BYTES
