"""The core against its model: the same programs, the same contents of all memories after them."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from backspike.compiler.assembling.program import Program
from backspike.hw.isa.table import UNITS
from tests.hw.core.bench import DATA, Bench
from tests.hw.core.draw import ARRAYS, COMPUTES, draw_instruction, odd_instruction
from tests.hw.core.race import racing_programs
from tests.sim.model.machine.orders import any_slow

BUSES = ((2, 0), (30, 60), (150, 150))
"""Latencies and stalls of DRAM."""
KERNELS, STRIDES = range(1, 8), (1, 2, 3, 5)


@cocotb.test()
async def every_instruction_alone(dut: Any) -> None:
    bench = await Bench.started(dut, 0)
    for subcore, mnemonics in COMPUTES.items():
        for mnemonic in mnemonics:
            for case in range(bench.cases):
                scene = bench.scene(bench.serial(subcore, [mnemonic]))
                await bench.run(scene, f"{mnemonic} case {case}")
    print(f"{bench.cycles} cycles")


@cocotb.test()
async def odd_operands(dut: Any) -> None:
    """Whatever passes the checks does what the model says, and comes to an end."""
    bench = await Bench.started(dut, 4)
    for case in range(bench.cases * 4):
        for subcore, mnemonics in COMPUTES.items():
            for mnemonic in mnemonics:
                program = bench.program(subcore)
                operands = odd_instruction(bench.draw(subcore), subcore, mnemonic)
                program.add(mnemonic, operands, reason="")
                program.end()
                scene = bench.scene(program)
                await bench.run(scene, f"{mnemonic} case {case}: {operands}", timeout=50_000)


@cocotb.test()
async def all_kernels_and_strides(dut: Any) -> None:
    """Each of them in each of the arrays, with whatever padding, maps and channels."""
    bench = await Bench.started(dut, 5)
    for kernel in KERNELS:
        for subcore, mnemonics in ARRAYS.items():
            program = bench.program(subcore)
            draw = bench.draw(subcore)
            for stride in STRIDES:
                draw.kernel, draw.stride = kernel, stride
                for mnemonic in mnemonics:
                    operands = draw_instruction(draw, subcore, mnemonic)
                    program.add(mnemonic, operands, reason=f"stride {stride}")
                    program.barrier(UNITS[subcore], after=UNITS[subcore], reason="in order")
            program.end()
            await bench.run(bench.scene(program), f"{mnemonics} with kernels of {kernel}")
    print(f"{bench.cycles} cycles")


@cocotb.test()
async def random_programs_that_race(dut: Any) -> None:
    """All units of both sub-cores at once: what comes out does not depend on who is the faster.

    Barriers are those that backspike.compiler.order.hazards puts in, and no others.
    """
    bench = await Bench.started(dut, 1)
    most, busy, together = 0, 0, 0
    for case in range(bench.cases):
        programs = racing_programs(bench.random, bench.config, dram=DATA)
        scene = bench.scene(*programs)
        expected = scene.expected()
        for _ in range(4):
            found = scene.expected(order=any_slow(bench.random))
            assert expected.equals(found), f"case {case}: the model's order decides"
        for latency, stall in BUSES:
            dut.latency.value, dut.stall.value = latency, stall
            await bench.run(scene, f"case {case}, {latency=} {stall=}", expected=expected)
            at_work = bench.units_at_work()
            most = max(most, at_work.max())
            busy, together = busy + (at_work > 0).sum(), together + (at_work > 1).sum()
    print(f"{bench.cycles} cycles, in {together / busy:.0%} several units, at most {most}")
    assert together > busy / 5
    assert most >= 5


@cocotb.test()
async def messages_between_subcores(dut: Any) -> None:
    """What one sub-core has made is copied to the other, which waits for it, and back."""
    bench = await Bench.started(dut, 2)
    for case in range(bench.cases):
        fp, bp = bench.program("fp"), bench.program("bp")
        draws = {name: bench.draw(name) for name in COMPUTES}

        def work(program: Program, mnemonic: str, draws=draws) -> None:
            operands = draw_instruction(draws[program.subcore], program.subcore, mnemonic)
            program.add(mnemonic, operands, reason="")

        rounds = int(bench.random.integers(1, 5))
        for program, other, turn in ((fp, "BP", 0), (bp, "FP", 1)):
            units = UNITS[program.subcore]
            for number in range(rounds):
                if number or turn:
                    program.barrier("noc", boxes=[number % 8], reason=f"{other} is done")
                work(program, "NOC_DATA")
                program.barrier(units, after="noc", reason="")
                for _ in range(2):
                    work(program, str(bench.random.choice(list(COMPUTES[program.subcore]))))
                    program.barrier(units, after=units, reason="one after the other")
                box = number if turn == 0 else number + 1
                program.add("NOC_CTRL", {"msg_box": box % 8}, reason="tells the other one")
            program.end()
        await bench.run(bench.scene(fp, bp), f"case {case}")


@cocotb.test()
async def loops_step_addresses(dut: Any) -> None:
    """Loops in loops, with the same and with other registers, ending together and apart."""
    bench = await Bench.started(dut, 3)
    size = bench.config.srams["fp.u"]
    bus = bench.config.dram.bus_bits // 8
    for case in range(bench.cases * 3):
        program = bench.program("fp")
        counts = [int(count) for count in bench.random.integers(1, 4, 4)]
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
                if bench.random.integers(2):
                    program.add(
                        "DMA_WR",
                        {"sram": 3, "base": more, "words": 1, "rows": 1, "dram": further + first},
                        reason="and something behind it",
                    )
                    program.barrier(("read", "write"), after=("read", "write"), reason="")

        body(0, [0, first + (1 << 15)])
        program.end()
        await bench.run(bench.scene(program), f"case {case}: counts {counts}")
