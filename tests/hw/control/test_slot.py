"""Without these, an instruction could start before what it waits for, or with another's command."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass

import pytest
from amaranth.lib import data

from backspike.hw.control.slot import Slot
from backspike.hw.isa.neuron.command import ElementSettings
from backspike.hw.isa.table import BOXES, UNITS
from backspike.hw.isa.units import UNIT_REGISTERS, command_of
from tests.hw.simulation import pulse, simulate

SEED = 41
INSTRUCTIONS = 120


@dataclass(eq=False)
class Told:
    """An instruction, and the cycles of what has become of it; None for what is to come."""

    command: int
    targets: list[int]
    """Of each unit of the sub-core, how many instructions must be done."""
    boxes: set[int]
    moved: int | None = None
    """It reached the engine."""
    launched: int | None = None
    done: int | None = None


def as_command(unit: str, registers: dict[str, int]) -> int:
    """The bits of the command that registers make."""
    layout = data.Layout.cast(UNIT_REGISTERS[unit].command)
    return layout.const(command_of(unit, registers)).as_value().value


def bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


@pytest.mark.parametrize("hurry", [0.9, 0.3])
@pytest.mark.parametrize(("subcore", "unit"), [("fp", "read"), ("bp", "grad"), ("bp", "noc")])
def test_each_starts_as_soon_as_what_it_waits_for_is_there(subcore, unit, hurry):
    """Held against the moments at which things happened, cycle by cycle.

    ``hurry`` is how likely the engine and the other units are done in a cycle.
    """
    rng = random.Random(f"{SEED}{unit}{hurry}")
    slot = Slot(subcore=subcore, unit=unit)
    units, own = len(UNITS[subcore]), UNITS[subcore].index(unit)
    settings = data.Layout.cast(ElementSettings)
    enumerated = {name for name, each in settings if isinstance(each.shape, enum.EnumType)}
    registers = list(UNIT_REGISTERS[unit].bits.items())
    plain = [each for each in registers if each[0] not in enumerated]
    told: list[Told] = []
    given = [0] * units  # instructions of the other units
    ends: list[list[int]] = [[] for _ in range(units)]  # cycles in which they were done
    levels = [0] * BOXES
    seen = dict.fromkeys(("held", "frozen", "no gap", "one behind a held one"), 0)

    def may_start(instruction: Told, cycle: int) -> bool:
        ended = [*ends]
        ended[own] = [each.done for each in told if each.done is not None]
        return all(levels[box] for box in instruction.boxes) and all(
            sum(end < cycle for end in cycles) >= target
            for cycles, target in zip(ended, instruction.targets, strict=True)
        )

    async def bench(ctx):
        cycle = 0
        written: dict[str, int] = {}
        targets, boxes = [0] * units, set()
        writing = 0  # cycles until the instruction that is being written is complete
        while len(told) < INSTRUCTIONS or told[-1].done is None:
            live = [each for each in told if each.done is None]
            running = bool(live) and live[0].launched is not None
            done = running and live[0].launched + 1 < cycle and rng.random() < hurry
            head = live[running] if len(live) > running and (done or not running) else None
            held = head is not None and head.moved is not None
            frozen = rng.random() < 0.1
            launches = head is not None and not frozen and may_start(head, cycle)
            outstanding = [many - len(cycles) for many, cycles in zip(given, ends, strict=True)]
            outstanding[own] = len(live)

            # The decoder.
            ctx.set(slot.clear, 0)
            ctx.set(slot.write, 0)
            ctx.set(slot.commit, 0)
            ctx.set(slot.barrier, 0)
            free = all(each.moved is not None for each in live)
            clear_of_waits = all(each.launched is not None for each in live)
            commits = False
            if not writing and len(told) < INSTRUCTIONS:
                if clear_of_waits and rng.random() < 0.4:
                    after = rng.getrandbits(units)
                    asked = rng.getrandbits(BOXES) & rng.getrandbits(BOXES) & rng.getrandbits(BOXES)
                    ctx.set(slot.barrier, 1)
                    ctx.set(slot.after, after)
                    ctx.set(slot.boxes, asked)
                    for other in bits(after):
                        targets[other] = len(told) if other == own else given[other]
                    boxes |= set(bits(asked))
                elif free and rng.random() < 0.8:
                    ctx.set(slot.clear, 1)
                    written = {}
                    writing = rng.randint(1, 6)
            elif writing > 1:
                name, width = rng.choice(plain)
                value = rng.getrandbits(32)
                ctx.set(slot.write, 1)
                ctx.set(slot.index, registers.index((name, width)))
                ctx.set(slot.value, value)
                written[name] = value & (1 << width) - 1
                writing -= 1
            elif writing:
                ctx.set(slot.commit, 1)
                commits, writing = True, 0

            # The units, the boxes, and whether anything may start.
            completed = [
                other != own and left > 0 and rng.random() < hurry
                for other, left in enumerate(outstanding)
            ]
            completed[own] = done
            ctx.set(slot.done, done)
            ctx.set(slot.completed, sum(bit << other for other, bit in enumerate(completed)))
            for other, count in enumerate(outstanding):
                ctx.set(slot.outstanding[other], count)
            ctx.set(slot.messages, sum(bool(level) << box for box, level in enumerate(levels)))
            ctx.set(slot.frozen, frozen)

            # What it shows in this cycle.
            shown = {
                "takes": sum(1 << box for box in head.boxes) if launches else 0,
                "waiting": sum(1 << box for box in head.boxes) if held else 0,
                "start": running and live[0].launched == cycle - 1,
                "busy": running,
                "count": len(live),
                "free": free,
                "clear_of_waits": clear_of_waits,
                "place": len(told) % 2,
            }
            if live:
                shown["oldest"] = told.index(live[0]) % 2
            for name, value in shown.items():
                assert ctx.get(getattr(slot, name)) == value, f"{name} in cycle {cycle}"
            if running:
                assert ctx.get(slot.command.as_value()) == live[0].command, f"cycle {cycle}"
            seen["held"] += held
            seen["frozen"] += frozen and head is not None and may_start(head, cycle)
            seen["no gap"] += launches and done
            seen["one behind a held one"] += held and len(live) == 2

            # What happens at its end.
            if done:
                live[0].done = cycle
            if head is not None and head.moved is None:
                head.moved = cycle
            if launches:
                head.launched = cycle
                for box in head.boxes:
                    levels[box] -= 1
            if commits:
                told.append(Told(as_command(unit, written), targets, boxes))
                targets, boxes = [0] * units, set()
            for other in set(range(units)) - {own}:
                ends[other] += [cycle] * completed[other]
                given[other] += given[other] - len(ends[other]) < 2 and rng.random() < 0.3
            for box in range(BOXES):
                levels[box] += levels[box] < 2 and rng.random() < 0.03
            cycle += 1
            await ctx.tick()

    simulate(slot, bench)
    assert all(seen.values()), seen


def test_a_reset_forgets_what_waits():
    slot = Slot(subcore="fp", unit="read")
    first = next(iter(UNIT_REGISTERS["read"].bits))

    async def write(ctx, value):
        await pulse(ctx, slot.clear)
        ctx.set(slot.write, 1)
        ctx.set(slot.index, 0)
        ctx.set(slot.value, value)
        await ctx.tick()
        ctx.set(slot.write, 0)
        await pulse(ctx, slot.commit)

    async def bench(ctx):
        ctx.set(slot.after, 0b1000)
        ctx.set(slot.boxes, 0b10)
        ctx.set(slot.outstanding[3], 2)
        await pulse(ctx, slot.barrier)
        await write(ctx, 1)
        await write(ctx, 2)
        await ctx.tick()
        assert ctx.get(slot.count) == 2
        assert ctx.get(slot.waiting) == 0b10
        await pulse(ctx, slot.reset)
        assert ctx.get(slot.count) == 0
        assert ctx.get(slot.free) & ctx.get(slot.clear_of_waits)
        assert ctx.get(slot.waiting) == 0
        await write(ctx, 3)
        await ctx.tick()
        assert ctx.get(slot.start)
        assert ctx.get(slot.command.as_value()) == as_command("read", {first: 3})
        await pulse(ctx, slot.done)
        assert ctx.get(slot.count) == 0

    simulate(slot, bench)
