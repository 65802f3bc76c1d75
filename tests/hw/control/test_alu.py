"""Without these, a check could let an operand pass that leaves its SRAM, or refuse a good one."""

from __future__ import annotations

import random

import pytest

from backspike.hw.control.alu import Alu
from backspike.hw.control.microcode import NO_REGISTER, VALUE_BITS, Microcode
from backspike.hw.isa.instruction import Fault, ProgramError
from backspike.hw.isa.table import IsaShape, instruction_set
from backspike.hw.isa.units import UNIT_REGISTERS
from tests.hw.control.operands import some_operands
from tests.hw.simulation import pulse, simulate

SEED = 31
CASES = 300
EXACT = {
    # A sum may have 2**17 terms, but samples * steps may be that already.
    "bp": [
        ("WG_CONV", {"samples": 32, "steps": 64, "out_h": 64, "out_w": 2}),
        ("WG_CONV", {"samples": 2048, "steps": 64, "out_h": 4095}),
        ("WG_CONV", {"samples": 2048, "steps": 64}),
    ],
    "fp": [],
}
"""Values that reach a limit exactly, where a bit less would not do."""


def expected(instruction, operands):
    """The fault, and the registers that the steps make."""
    try:
        return Fault.NONE, instruction.evaluate(operands)
    except ProgramError as error:
        return error.fault, {}


@pytest.mark.parametrize("subcore", ["fp", "bp"])
def test_steps_equal_those_of_the_table(subcore):
    rng = random.Random(f"{SEED}{subcore}")
    shape = IsaShape()
    instructions = instruction_set(shape, subcore)
    code = Microcode(instructions)
    begins, words = {}, 0
    for mnemonic, program in code.programs.items():
        begins[mnemonic] = words
        words += len(program)
    alu = Alu(shape=shape, subcore=subcore)
    found = set()

    async def run(ctx, mnemonic, operands):
        await pulse(ctx, alu.clear)
        ctx.set(alu.write, 1)
        for number, value in enumerate(operands.values(), 1):
            ctx.set(alu.number, number)
            ctx.set(alu.value, value)
            await ctx.tick()
        ctx.set(alu.write, 0)
        ctx.set(alu.address, begins[mnemonic])
        kept, ended = {}, 0
        for cycle in range(len(code.programs[mnemonic]) + 3):
            ctx.set(alu.run, cycle == 0)
            ended += ctx.get(alu.done)
            if ctx.get(alu.kept) and ctx.get(alu.register) != NO_REGISTER:
                kept[ctx.get(alu.register)] = ctx.get(alu.result)
            await ctx.tick()
        assert ended == 1
        return Fault(ctx.get(alu.fault)), kept

    async def bench(ctx):
        cases = [(name, instructions[name].fill(given)) for name, given in EXACT[subcore]]
        for _ in range(CASES):
            mnemonic = rng.choice(list(code.programs))
            cases.append((mnemonic, some_operands(rng, instructions[mnemonic])))
        for mnemonic, operands in cases:
            instruction = instructions[mnemonic]
            fault, registers = expected(instruction, operands)
            found.add(fault)
            told, kept = await run(ctx, mnemonic, operands)
            assert told is fault, f"{mnemonic} {operands}: {told!r} is not {fault!r}"
            if fault is Fault.NONE:
                results = {step.register for step in code.programs[mnemonic]} - {NO_REGISTER}
                assert set(kept) == results, mnemonic
            if fault is Fault.NONE and instruction.registers:
                names = list(UNIT_REGISTERS[instruction.unit].bits)
                for number, value in kept.items():
                    wanted = registers[names[number]] % (1 << VALUE_BITS)
                    assert value % (1 << VALUE_BITS) == wanted, (
                        f"{mnemonic} {operands}: {names[number]}"
                    )

    simulate(alu, bench)
    assert {Fault.NONE, Fault.ADDRESS, Fault.ALIGNMENT} <= found
