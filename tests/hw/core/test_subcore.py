"""Without these, a unit could read another SRAM than its row says, or start for another one."""

from __future__ import annotations

import random

import pytest
from amaranth import Module
from amaranth.hdl import Fragment
from amaranth.lib import data

from backspike.hw.control.controller import Progress
from backspike.hw.core.subcore import SubCore
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.units import NONZERO, SRAMS, UNIT_TABLE, UNITS
from backspike.hw.memory.shared import SharedSram
from backspike.hw.presets import load
from tests.hw.simulation import pulse, simulate

SEED = 17
WEIGHT_WORDS = 2
CONFIG = load("tiny", [f"array.weight_words={WEIGHT_WORDS}"])
both = pytest.mark.parametrize("subcore", UNITS)


class Shells:
    """Leaves children empty: their ports are there, for a test to drive and to look at."""

    def instance(self, component):
        return Module()


def wired(subcore: str) -> tuple[SubCore, Module, Fragment]:
    """A sub-core, its submodules by name, and what it is between them."""
    unit = SubCore(config=CONFIG, subcore=subcore)
    module = unit.elaborate(None)
    return unit, module.submodules, Fragment.get(module, Shells())


def commanded(subcore: str):
    """The units that the controller starts by itself, which is all but the copies."""
    return [name for name in UNITS[subcore] if name != "noc"]


@both
def test_srams_are_as_the_configuration_says(subcore):
    _, parts, _ = wired(subcore)
    for name in SRAMS[subcore]:
        sram, size = parts[f"sram_{name}"], CONFIG.srams[f"{subcore}.{name}"]
        assert isinstance(sram, SharedSram)
        found = {each: sram.parameters[each] for each in ("words", "width", "granules", "banks")}
        assert found == {each: getattr(size, each) for each in found}


@both
def test_each_port_of_a_unit_reaches_the_sram_of_its_row_and_no_other(subcore):
    unit, parts, between = wired(subcore)
    rng = random.Random(SEED)
    srams = {f"{subcore}.{name}": parts[f"sram_{name}"] for name in SRAMS[subcore]}

    def ports(kind):
        yield from ((name, port) for name, sram in srams.items() for port in getattr(sram, kind))
        for name in unit.outgoing if kind == "writes" else ():
            other = "bp" if subcore == "fp" else "fp"
            yield f"{other}.{name}", getattr(unit, f"{name}_out")

    async def reach(ctx, row, name, part):
        """Drives a port of a unit, at an address that names this part of a word of tile rows."""
        engine, sram = parts[f"unit_{row.name}"], row.ports[name]
        port, address = getattr(engine, name), WEIGHT_WORDS * rng.getrandbits(3) + part
        ctx.set(port.en, 1)
        ctx.set(port.addr, address)
        if name in row.writes:
            ctx.set(port.data, word := rng.getrandbits(len(port.data)))
            ctx.set(port.mask, mask := rng.getrandbits(len(port.mask)))
        reached = [
            (kind, where, there)
            for kind in ("reads", "writes")
            for where, there in ports(kind)
            if ctx.get(there.en)
        ]
        if sram == NONZERO:
            assert not reached
            assert ctx.get(parts.nonzero.read.en)
            reached = [("reads", NONZERO, parts.nonzero.read)]
        ((kind, where, there),) = reached
        assert (kind, where) == ("writes" if name in row.writes else "reads", sram)
        if sram != NONZERO:
            for ready in (1, 0):
                ctx.set(there.ready, ready)
                assert ctx.get(port.ready) == ready
        if kind == "reads":
            ctx.set(there.data, word := rng.getrandbits(len(there.data)))
            assert ctx.get(port.data) == word
            assert ctx.get(there.addr) == address
        else:
            # A row of a tile is a part of a word; others are words.
            rows = WEIGHT_WORDS if sram in row.tile_rows else 1
            assert ctx.get(there.addr) == address // rows
            assert ctx.get(there.mask) == mask << address % rows * len(port.mask)
            copies = (word << each * len(port.data) for each in range(rows))
            assert ctx.get(there.data) == sum(copies)
        ctx.set(port.en, 0)
        return id(there)

    async def testbench(ctx):
        taken = []
        for row in UNIT_TABLE[subcore].values():
            for name in row.ports:
                taken += {await reach(ctx, row, name, part) for part in range(WEIGHT_WORDS)}
        assert len(set(taken)) == len(taken), "each port must have a port of its own"

    simulate(between, testbench)


@both
def test_each_unit_is_started_by_its_own_instructions(subcore):
    unit, parts, between = wired(subcore)
    rng = random.Random(SEED)
    controller = parts.controller
    engines = {name: parts[f"unit_{name}"] for name in UNITS[subcore]}

    async def testbench(ctx):
        for number, name in enumerate(UNITS[subcore]):
            if name in commanded(subcore):
                command = getattr(controller, f"{name}_command")
                layout = data.Layout.cast(command.shape())
                fields = [each for each, _ in layout if each != "inhibit"]
                ctx.set(command.as_value(), rng.getrandbits(layout.size))
                ctx.set(getattr(controller, f"{name}_start"), 1)
                assert [each for each in engines if ctx.get(engines[each].start)] == [name]
                for field in fields:
                    assert ctx.get(engines[name].command[field]) == ctx.get(command[field])
                ctx.set(getattr(controller, f"{name}_start"), 0)
            ctx.set(engines[name].done, 1)
            done = [each for each in engines if ctx.get(getattr(controller, f"{each}_done"))]
            assert done == [name]
            ctx.set(engines[name].done, 0)
            ctx.set(engines[name].running, 1)
            assert ctx.get(unit.working) == 1 << number
            ctx.set(engines[name].running, 0)
            if name in ("read", "write"):
                ctx.set(engines[name].error, 1)
                assert ctx.get(controller.error) == 1 << number
                ctx.set(engines[name].error, 0)

    simulate(between, testbench)


@both
def test_what_leaves_the_core_over_no_connection_is_refused(subcore):
    _, parts, between = wired(subcore)
    controller, network = parts.controller, parts.network_interface
    copy, control = parts.unit_noc, parts.noc_control
    place = list(UNITS[subcore]).index("noc")

    async def testbench(ctx):
        for moves, kind, leaves in (
            (1, Flow.CORE.value, False),
            (1, Flow.UNICAST.value, True),
            (1, Flow.MULTICAST.value, True),
            *((0, kind, kind >= 3) for kind in range(5)),
        ):
            ctx.set(controller.noc_command.moves, moves)
            ctx.set(controller.noc_command.flow_type, 0 if moves else kind)
            ctx.set(controller.noc_command.copy.flow, kind if moves else 0)
            for connected in (0, 1):
                ctx.set(network.connected, connected)
                ctx.set(controller.noc_start, 1)
                goes = connected or not leaves
                assert ctx.get(copy.start) == (moves and goes)
                assert ctx.get(control.start) == (not moves and goes)
                await ctx.tick()
                ctx.set(controller.noc_start, 0)
                assert ctx.get(controller.noc_done) == (not goes)
                assert ctx.get(controller.error) == (0 if goes else 1 << place)
                await ctx.tick()
                assert not ctx.get(controller.noc_done)

    simulate(between, testbench)


@both
def test_statuses_stay_until_a_program_begins_or_clears_them(subcore):
    unit, parts, between = wired(subcore)
    controller, control = parts.controller, parts.noc_control
    engines = {name: parts[f"unit_{name}"] for name in UNITS[subcore]}

    async def testbench(ctx):
        for name, engine in engines.items():
            for status in ("overflow", "invalid"):
                for clears in (controller.begins, control.clears):
                    assert ctx.get(unit.found) == 0
                    await pulse(ctx, getattr(engine, status))
                    await ctx.tick()
                    assert ctx.get(getattr(unit.status, status)), name
                    assert ctx.get(unit.found) == 1
                    await pulse(ctx, clears)
                    assert not ctx.get(getattr(unit.status, status))

    simulate(between, testbench)


@both
def test_statuses_that_came_with_messages_stay_when_a_program_begins(subcore):
    unit, parts, between = wired(subcore)
    controller, control, network = parts.controller, parts.noc_control, parts.network_interface

    async def testbench(ctx):
        for clears in (unit.forget, control.clears):
            for signal, left in ((network.received, 1), (controller.begins, 1), (clears, 0)):
                await pulse(ctx, signal)
                assert ctx.get(unit.found) == left

    simulate(between, testbench)


def test_collected_statuses_hold_back_what_the_table_says():
    unit, parts, between = wired("bp")
    controller, control = parts.controller, parts.noc_control

    async def testbench(ctx):
        ctx.set(controller.progress, Progress.RUNNING)
        for found in (1, 0):
            ctx.set(unit.other_found, found)
            await ctx.tick()
            await pulse(ctx, control.collects)
            ctx.set(unit.other_found, 1)
            await ctx.tick()
            for name, row in UNIT_TABLE["bp"].items():
                if row.inhibited:
                    assert ctx.get(parts[f"unit_{name}"].command.inhibit) == found

    simulate(between, testbench)
