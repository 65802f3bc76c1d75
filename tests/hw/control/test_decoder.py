"""Without these, a unit could get another command than the program says, or one too many."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from backspike.hw.control.decoder import Decoder
from backspike.hw.control.microcode import NO_REGISTER, Microcode
from backspike.hw.isa.encoding import encode_words
from backspike.hw.isa.instruction import Fault, ProgramError
from backspike.hw.isa.table import (
    LOOP_LEVELS,
    LOOP_STEPS,
    REGISTERS,
    UNITS,
    IsaShape,
    Wait,
    instruction_set,
)
from backspike.hw.isa.units import UNIT_REGISTERS
from tests.hw.control.operands import some_operands
from tests.hw.simulation import pulse, simulate

SEED = 53
PROGRAMS = 12
EVENTS = 20
"""What a drawn program has at most to tell; loops could make it a lot."""
WORD = (1 << 32) - 1
SHAPE = IsaShape()


@dataclass
class Told:
    """An instruction as it stands in a program, and the operands that a register is added to."""

    mnemonic: str
    operands: dict[str, int]
    registers: dict[str, int] = field(default_factory=dict)


@dataclass
class Repeated:
    """A loop: its body, how often it runs, and the registers that it steps."""

    count: int
    body: list[Told | Repeated]
    steps: list[tuple[int, int]] = field(default_factory=list)


END = Told("BARRIER", {"sub_type": Wait.END.value})


class Programs:
    """Programs of a sub-core: drawn, put into words, and gone through as they are meant."""

    def __init__(self, subcore: str):
        self.units = UNITS[subcore]
        self.instructions = instruction_set(SHAPE, subcore)
        self.built = [each for each in self.instructions.values() if each.built]

    def loop(self, item: Repeated) -> Told:
        """The instruction in front of a loop's body."""
        operands = {"count": item.count, "length": sum(map(self.size, item.body))}
        for number, (register, step) in enumerate(item.steps):
            operands |= {f"register_{number}": register, f"step_{number}": step}
        return Told("LOOP", operands)

    def size(self, item: Told | Repeated) -> int:
        """Words of an item."""
        if isinstance(item, Told):
            return self.instructions[item.mnemonic].words
        return self.instructions["LOOP"].words + sum(map(self.size, item.body))

    def words(self, body: list[Told | Repeated]) -> list[int]:
        found = []
        for item in body:
            if isinstance(item, Repeated):
                found += self.words([self.loop(item), *item.body])
            else:
                instruction = self.instructions[item.mnemonic]
                found += encode_words(instruction, instruction.fill(item.operands), item.registers)
        return found

    def events(self, body, registers=None, position=0, depth=0) -> Iterator[tuple]:
        """What the decoder is to tell, one thing after the other; a fault is the last."""
        registers = [0] * REGISTERS if registers is None else registers
        for item in body:
            told = self.loop(item) if isinstance(item, Repeated) else item
            instruction = self.instructions[told.mnemonic]
            try:
                made = instruction.evaluate(self._operands(told, registers))
            except ProgramError as error:
                yield "fault", position, error.fault
                return
            operands = self._operands(told, registers)
            ends = told.mnemonic == "BARRIER" and operands["sub_type"] == Wait.END.value
            if (ends and depth) or (isinstance(item, Repeated) and depth == LOOP_LEVELS):
                yield "fault", position, Fault.LOOP
                return
            if ends:
                yield ("finished",)
            elif told.mnemonic == "BARRIER" and operands["units"]:
                yield "barrier", operands["units"], operands["after"], operands["boxes"]
            elif instruction.registers is not None:
                yield "commit", position, instruction.unit, made
            position += instruction.words
            if isinstance(item, Repeated):
                before = [*registers]
                for turn in range(item.count):
                    for event in self.events(item.body, registers, position, depth + 1):
                        yield event
                        if event[0] == "fault":
                            return
                    for register, step in item.steps:
                        if turn == item.count - 1:
                            registers[register] = before[register]
                        elif register:
                            registers[register] += step
                position += sum(map(self.size, item.body))

    def _operands(self, told: Told, registers: list[int]) -> dict[str, int]:
        """The operands modulo 2**32, with a sign if they may have one."""
        instruction = self.instructions[told.mnemonic]
        found = {}
        for operand in instruction.operands:
            value = instruction.fill(told.operands)[operand.name]
            value = (value + registers[told.registers.get(operand.name, 0)]) & WORD
            found[operand.name] = value - (value >> 31 << 32) if operand.low < 0 else value
        return found

    def draw(self, rng, depth: int = 0) -> list[Told | Repeated]:
        """Most instructions pass all checks, as long as no loop has stepped their operands."""
        body: list[Told | Repeated] = []
        for _ in range(rng.randint(1, 3)):
            if depth < LOOP_LEVELS and rng.random() < 0.4:
                steps = [
                    (
                        rng.randrange(REGISTERS),
                        rng.choice([1, 2, -1, rng.randint(-99, 99), 1 << 30]),
                    )
                    for _ in range(rng.randint(0, LOOP_STEPS))
                ]
                body.append(Repeated(rng.randint(1, 3), self.draw(rng, depth + 1), steps))
            else:
                body.append(self._draw_one(rng))
        return body

    def _draw_one(self, rng) -> Told:
        instruction = rng.choice([each for each in self.built if each.mnemonic != "LOOP"])
        for _ in range(50):
            operands = some_operands(rng, instruction)
            if instruction.mnemonic == "BARRIER":
                operands["sub_type"] = Wait.WAIT.value
            try:
                instruction.evaluate(operands)
                break
            except ProgramError:
                pass
        if instruction.mnemonic != "BARRIER" and rng.random() < 0.02:
            operand = rng.choice(instruction.operands)
            operands[operand.name] = rng.choice([operand.low - 1, operand.high + 1])
        # Of those that are never stepped all may be added.
        stepped = rng.sample(list(operands), rng.randint(0, 2))
        return Told(instruction.mnemonic, operands, {n: rng.randrange(REGISTERS) for n in stepped})


class Bench:
    """The neighbours of a decoder: words that come when they like, and slots that may be full."""

    def __init__(self, subcore: str, rng):
        self.decoder = Decoder(shape=SHAPE, subcore=subcore)
        self.programs = Programs(subcore)
        self._rng = rng
        self._hurry = 1.0

    async def run(self, ctx, words, *, hurry=1.0, bad=None, halt=None):
        """Runs a program; what the decoder tells of it, and the cycles that it takes.

        ``hurry`` are the odds that a neighbour is ready, ``bad`` is the position of a word that
        cannot be read, ``halt`` the cycle in which the program is halted.
        """
        self._hurry = hurry
        decoder, units = self.decoder, self.programs.units
        await ctx.tick()
        assert not ctx.get(decoder.running)
        ctx.set(decoder.position, position := 0)
        await pulse(ctx, decoder.start)
        free, written, told = [True] * len(units), {}, []
        cycle = 0
        while ctx.get(decoder.running):
            # A slot is full for longer than a word takes to come.
            free = [each or hurry == 1 or self._rng.random() < hurry / 16 for each in free]
            clear = [each and self._goes() for each in free]
            idle, valid = self._goes(), self._goes()
            there = position < len(words)
            ctx.set(decoder.position, position)
            ctx.set(decoder.valid, valid)
            ctx.set(decoder.error, not there or position == bad)
            ctx.set(decoder.word, words[position] if valid and there else self._rng.getrandbits(32))
            ctx.set(decoder.free, sum(each << unit for unit, each in enumerate(free)))
            ctx.set(decoder.clear_of_waits, sum(each << unit for unit, each in enumerate(clear)))
            ctx.set(decoder.idle, idle)
            ctx.set(decoder.halt, cycle == halt)
            mask, position_told = ctx.get(decoder.unit), ctx.get(decoder.at)
            unit = mask.bit_length() - 1
            if ctx.get(decoder.clear):
                assert not mask or free[unit], f"{units[unit]} had no room"
                written = {}
            if ctx.get(decoder.write):
                assert ctx.get(decoder.index) != NO_REGISTER
                written[ctx.get(decoder.index)] = ctx.get(decoder.data)
            if ctx.get(decoder.commit):
                bits = UNIT_REGISTERS[units[unit]].bits
                values = {
                    name: written.get(number, 0) & (1 << width) - 1
                    for number, (name, width) in enumerate(bits.items())
                }
                told.append(("commit", position_told, units[unit], values))
                free[unit] = self._goes()
            if barrier := ctx.get(decoder.barrier):
                assert not barrier & ~ctx.get(decoder.clear_of_waits)
                told.append(("barrier", barrier, ctx.get(decoder.after), ctx.get(decoder.boxes)))
            if ctx.get(decoder.finished):
                assert idle
                told.append(("finished",))
            if fault := ctx.get(decoder.fault):
                told.append(("fault", position_told, Fault(fault)))
            if ctx.get(decoder.jump):
                position = ctx.get(decoder.target)
            elif ctx.get(decoder.take):
                assert valid
                position += 1
            await ctx.tick()
            cycle += 1
        ctx.set(decoder.halt, 0)
        return told, cycle

    def expected(self, body) -> list[tuple]:
        """As :meth:`run` tells it."""
        found = []
        for event in self.programs.events(body):
            if event[0] == "commit":
                _, position, unit, made = event
                bits = UNIT_REGISTERS[unit].bits
                values = {name: made.get(name, 0) % (1 << width) for name, width in bits.items()}
                event = "commit", position, unit, values
            found.append(event)
            if len(found) > EVENTS:
                break
        return found

    def _goes(self) -> bool:
        return self._hurry == 1 or self._rng.random() < self._hurry


@pytest.mark.parametrize("subcore", ["fp", "bp"])
def test_commands_are_those_that_the_program_says(subcore):
    """Instructions in loops whose registers step their operands, until the end or a fault."""
    rng = random.Random(f"{SEED}{subcore}")
    bench = Bench(subcore, rng)
    seen = set()

    async def testbench(ctx):
        for _ in range(PROGRAMS):
            while (
                len(expected := bench.expected(body := [*bench.programs.draw(rng), END])) > EVENTS
            ):
                pass
            words = bench.programs.words(body)
            told, cycles = await bench.run(ctx, words, hurry=rng.choice([1.0, 0.5]))
            assert told == expected, body
            seen.add(expected[-1][0])
            seen.add(len({event for event in map(str, expected)}) < len(expected))
            if rng.random() < 0.3:
                halt = rng.randrange(cycles)
                told, cycles = await bench.run(ctx, words, halt=halt)
                assert cycles <= halt + 1
                assert told == expected[: len(told)]

    simulate(bench.decoder, testbench, limit=200_000)
    assert seen == {"finished", "fault", True, False}


READ = Told("DMA_RD", {"words": 1})


def nested(depth: int) -> list:
    return [Repeated(1, nested(depth - 1))] if depth else [READ]


def test_what_is_wrong_is_told_and_leaves_no_trace():
    """Each program is followed by one that must run as if there had been none."""
    bench = Bench("fp", random.Random(SEED))
    programs = bench.programs
    built = {each.opcode for each in programs.built}
    size, loop = programs.size(READ), programs.size(Repeated(1, []))
    header, *rest = programs.words([READ])
    good = [Repeated(2, [Told("DMA_RD", {"words": 1}, {"words": 3})], [(3, 5)]), END]

    def looped(length: int, *body: Told) -> list[int]:
        """A loop of so many words."""
        told = Told("LOOP", {"count": 2, "length": length})
        return programs.words([told, *body, END])

    def refused(fault: Fault, position: int, *commits: int):
        """The instructions that are told, by their positions, and the fault."""
        return [*commits], ("fault", position, fault)

    unread = {bad: refused(Fault.FETCH, size, 0) for bad in range(size, 2 * size, 4)}
    cases = [
        *((programs.words([READ, READ, END]), bad, told) for bad, told in unread.items()),
        *(
            ([header & ~0xFF | opcode, *rest], None, refused(Fault.OPCODE, 0))
            for opcode in sorted(set(range(256)) - built)[::27]
        ),
        *(
            ([header ^ 1 << bit, *rest], None, refused(Fault.LENGTH, 0))
            for bit in (8, 11, 15, 16, 31)
        ),
        (programs.words(nested(LOOP_LEVELS + 1)), None, refused(Fault.LOOP, LOOP_LEVELS * loop)),
        (
            looped(size + 1, READ, READ, READ),
            None,
            refused(Fault.LOOP, loop + 2 * size, loop, loop + size),
        ),
        (
            looped(2 * size + 1, READ, READ),
            None,
            refused(Fault.LOOP, loop + 2 * size, loop, loop + size),
        ),
    ]

    async def testbench(ctx):
        for words, bad, (commits, fault) in cases:
            told, _ = await bench.run(ctx, words, bad=bad)
            assert [each[1] for each in told[:-1]] == commits
            assert told[-1] == fault
            told, _ = await bench.run(ctx, programs.words(good))
            assert told == bench.expected(good)

    simulate(bench.decoder, testbench)


@pytest.mark.parametrize("subcore", ["fp", "bp"])
def test_an_instruction_takes_a_cycle_a_word_and_about_ten(subcore):
    bench = Bench(subcore, random.Random(SEED))
    code = Microcode(bench.programs.instructions)

    async def testbench(ctx):
        _, alone = await bench.run(ctx, bench.programs.words([END]))
        for mnemonic, steps in code.programs.items():
            body = [Told(mnemonic, {}), END]
            if bench.expected(body)[-1][0] == "fault" or mnemonic == "LOOP":
                continue
            _, cycles = await bench.run(ctx, bench.programs.words(body))
            words = bench.programs.size(body[0])
            assert cycles - alone <= words + len(steps) + 10, mnemonic

    simulate(bench.decoder, testbench)
