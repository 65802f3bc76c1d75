"""Without these, a host could reach another core than it means to, or start some but not others."""

from __future__ import annotations

import random

import pytest

from backspike.hw.chip.host import ChipHost
from backspike.hw.chip.map import ALL, CHIP_BY_NAME, CHIP_IDENTITY, core_window
from backspike.hw.core.axi_lite import HOST_ADDRESS_BITS, SLAVE_ERROR
from backspike.hw.dma.axi import OKAY
from tests.hw.axi_lite import Host
from tests.hw.simulation import simulate

SEED = 61
COLUMNS, ROWS = 3, 1
EVERY = ALL << HOST_ADDRESS_BITS
"""Address of the window of all cores that are selected."""
REFUSED = 0xBAD
"""A register that no core has."""


def at(name: str) -> int:
    return CHIP_BY_NAME[name].address


class Cores:
    """Cores of a chip: what each was written, and in which cycle it was asked."""

    def __init__(self, unit: ChipHost):
        self._random = random.Random(SEED)
        self._cores = unit.cores
        self.words: list[dict[int, int]] = [{} for _ in unit.cores]
        self.begins: list[tuple[int, int]] = []
        """Cycle and core of each access."""

    @property
    def testbenches(self):
        return [self._serve(number) for number in range(len(self.words))]

    def _serve(self, number: int):
        core, words = self._cores[number], self.words[number]

        async def testbench(ctx):
            cycle, taken, answer = 0, {}, None
            before = False
            while True:
                valid = ctx.get(core.awvalid) or ctx.get(core.arvalid)
                if valid and not before:
                    self.begins.append((cycle, number))
                before = valid
                offered = {}
                for channel in ("aw", "w", "ar"):
                    ready = channel not in taken and self._random.random() < 0.5
                    ctx.set(getattr(core, f"{channel}ready"), ready)
                    if ready and ctx.get(getattr(core, f"{channel}valid")):
                        field = "wdata" if channel == "w" else f"{channel}addr"
                        offered[channel] = ctx.get(getattr(core, field))
                await ctx.tick()
                cycle += 1
                taken |= offered
                ctx.set(core.bvalid, 0)
                ctx.set(core.rvalid, 0)
                answer = next((each for each in ({"aw", "w"}, {"ar"}) if each <= set(taken)), None)
                if answer is None or self._random.random() < 0.5:
                    continue
                address = taken["ar" if "ar" in answer else "aw"]
                response = SLAVE_ERROR if address == REFUSED else OKAY
                if "ar" in answer:
                    ctx.set(core.rdata, words.get(address, 0))
                    ctx.set(core.rresp, response)
                    ctx.set(core.rvalid, 1)
                else:
                    words[address] = taken["w"]
                    ctx.set(core.bresp, response)
                    ctx.set(core.bvalid, 1)
                taken.clear()

        return testbench


def test_refuses_a_chip_without_cores():
    with pytest.raises(ValueError, match="ChipHost columns must be a whole number of at least 1"):
        ChipHost(columns=0, rows=1)


def test_accesses_reach_the_core_of_their_window_or_all_that_are_selected():
    unit = ChipHost(columns=COLUMNS, rows=ROWS)
    host, cores = Host(unit.bus, SEED), Cores(unit)
    rng = random.Random(SEED)
    wanted: list[dict[int, int]] = [{} for _ in unit.cores]

    async def write(ctx, window, targets):
        address = rng.choice([REFUSED, *range(0, 0x40, 4)])
        word, before = rng.getrandbits(32), len(cores.begins)
        refused = address == REFUSED or not targets
        response = await host.write(ctx, window | address, word)
        assert response == (SLAVE_ERROR if refused else OKAY)
        for each in targets:
            wanted[each][address] = word
        assert cores.words == wanted
        begins = cores.begins[before:]
        assert sorted(number for _, number in begins) == targets
        assert len({cycle for cycle, _ in begins}) <= 1, "they must be asked in the same cycle"

    async def program(ctx):
        for _ in range(12):
            number = rng.randrange(len(cores.words))
            await write(ctx, core_window(number), [number])
            address = rng.choice([REFUSED, *range(0, 0x40, 4)])
            word, response = await host.read(ctx, core_window(number) | address)
            assert word == wanted[number].get(address, 0)
            assert response == (SLAVE_ERROR if address == REFUSED else OKAY)
            mask = rng.getrandbits(len(cores.words))
            assert await host.write(ctx, at("select"), mask) == OKAY
            await write(ctx, EVERY, [each for each in range(len(cores.words)) if mask >> each & 1])

        before = len(cores.begins)
        await write(ctx, core_window(len(cores.words)), [])
        assert await host.write(ctx, at("select"), 0b111) == OKAY
        assert await host.read(ctx, EVERY) == (0, SLAVE_ERROR)
        for window in (EVERY, core_window(0)):
            assert await host.write(ctx, window, 1, 0b0111) == SLAVE_ERROR
        assert len(cores.begins) == before

    simulate(unit, program, background=cores.testbenches)


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (8, 5)])
def test_registers_of_the_chip(columns, rows):
    unit = ChipHost(columns=columns, rows=rows)
    host, count = Host(unit.bus, SEED), columns * rows
    rng = random.Random(SEED)
    parts = range(-(-count // 32))

    async def masks(ctx, name):
        """The register of a bit for each core, in all its words."""
        found = [await host.read(ctx, at(name) + 4 * part) for part in parts]
        assert all(response == OKAY for _, response in found)
        return sum(word << 32 * part for part, (word, _) in enumerate(found))

    async def program(ctx):
        assert await host.read(ctx, at("identity")) == (CHIP_IDENTITY, OKAY)
        size = CHIP_BY_NAME["size"].pack(columns=columns, rows=rows)
        assert await host.read(ctx, at("size")) == (size, OKAY)
        select = rng.getrandbits(count) | 1
        for part in parts:
            word = select >> 32 * part & 0xFFFF_FFFF
            assert await host.write(ctx, at("select") + 4 * part, word) == OKAY
        ctx.set(unit.running, running := rng.getrandbits(count))
        ctx.set(unit.stopped, stopped := rng.getrandbits(count))
        for name in ("identity", "size", "running", "stopped"):
            assert await host.write(ctx, at(name), 0) == SLAVE_ERROR
        assert await host.write(ctx, at("select"), 0, 0b0111) == SLAVE_ERROR
        for address in (0x14, at("enable") + 1, at("select") + 4 * len(parts)):
            assert await host.read(ctx, address) == (0, SLAVE_ERROR)
        assert await masks(ctx, "select") == select
        assert await masks(ctx, "running") == running
        assert await masks(ctx, "stopped") == stopped

    simulate(unit, program)


def test_the_chip_interrupts_when_all_programs_have_ended_and_when_one_was_stopped():
    unit = ChipHost(columns=2, rows=1)
    host = Host(unit.bus, SEED)

    async def program(ctx):
        assert await host.read(ctx, at("interrupt")) == (0, OKAY)
        for running, stopped, ends in ((0b11, 0, 0), (0b10, 0, 0), (0, 0, 0b01), (0, 0b10, 0b10)):
            ctx.set(unit.running, running)
            ctx.set(unit.stopped, stopped)
            await ctx.tick().repeat(2)
            assert await host.read(ctx, at("interrupt")) == (ends, OKAY)
            assert await host.write(ctx, at("enable"), 0b11 ^ ends) == OKAY
            assert ctx.get(unit.irq) == 0
            assert await host.write(ctx, at("enable"), ends) == OKAY
            assert ctx.get(unit.irq) == (ends != 0)
            assert await host.write(ctx, at("interrupt"), 0b11) == OKAY
            assert ctx.get(unit.irq) == 0

    simulate(unit, program)
