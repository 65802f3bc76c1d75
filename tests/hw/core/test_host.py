"""Without these, a host could read another register than it means to, or write one for another."""

from __future__ import annotations

import random

from backspike.hw.control.controller import Progress
from backspike.hw.core.axi_lite import SLAVE_ERROR
from backspike.hw.core.host import FIRST_TIMEOUT, HostPort
from backspike.hw.core.map import BY_NAME, IDENTITY, REGISTERS, counter_addresses
from backspike.hw.dma.axi import OKAY
from tests.hw.axi_lite import Host
from tests.hw.simulation import simulate

SEED = 29
CONNECTIONS = 4
COUNTERS = {"fp_read": ("busy", "stalled"), "bp_wg": ("busy",)}
SETTINGS = [each.name for each in REGISTERS if each.access == "rw" and each.name != "memory_data"]
WORD = 0xFFFF_FFFF
DRAM = (1 << 40) - 1


def host_port() -> tuple[HostPort, Host]:
    unit = HostPort(counters=COUNTERS, connections=CONNECTIONS)
    return unit, Host(unit.bus, SEED)


def at(name: str) -> int:
    return BY_NAME[name].address


async def settings(ctx, host) -> dict[str, int]:
    found = {}
    for name in SETTINGS:
        found[name], response = await host.read(ctx, at(name))
        assert response == OKAY
    return found


def test_registers_read_as_what_they_show():
    unit, host = host_port()
    rng = random.Random(SEED)
    shown = {
        "place": {
            "column": unit.x,
            "row": unit.y,
            "columns": unit.extent.columns,
            "rows": unit.extent.rows,
        },
        **{
            f"{name}_status": {
                "progress": status.progress,
                "fault": status.fault,
                "overflow": status.overflow,
                "invalid": status.invalid,
            }
            for name, status in (("fp", unit.fp), ("bp", unit.bp))
        },
        **{
            f"{name}_waits": {
                "tag": status.waits.tag_id,
                "answer": status.waits.answer,
                "boxes": status.waits.boxes,
            }
            for name, status in (("fp", unit.fp), ("bp", unit.bp))
        },
    }

    async def program(ctx):
        assert await host.read(ctx, at("identity")) == (IDENTITY, OKAY)
        for _ in range(4):
            for name, fields in shown.items():
                values = {each: rng.getrandbits(BY_NAME[name].field(each).bits) for each in fields}
                for each, value in values.items():
                    ctx.set(fields[each], Progress(value) if each == "progress" else value)
                word = BY_NAME[name].pack(**values)
                assert await host.read(ctx, at(name)) == (word, OKAY), name
            for name, status in (("fp", unit.fp), ("bp", unit.bp)):
                ctx.set(status.position, position := rng.getrandbits(20))
                assert await host.read(ctx, at(f"{name}_position")) == (4 * position, OKAY)

    simulate(unit, program)


def test_a_setting_changes_what_it_is_for_and_nothing_else():
    unit, host = host_port()
    rng = random.Random(SEED)

    async def program(ctx):
        wanted = await settings(ctx, host)
        assert wanted == {**dict.fromkeys(SETTINGS, 0), "timeout": FIRST_TIMEOUT}
        for name in rng.choices(SETTINGS, k=2 * len(SETTINGS)) + SETTINGS:
            word = rng.getrandbits(32)
            assert await host.write(ctx, at(name), word) == OKAY
            wanted[name] = word & {"enable": 0b11, "origin_high": 0xFF}.get(name, WORD)
            origin = wanted["origin_high"] << 32 | wanted["origin_low"]
            assert ctx.get(unit.timeout) == wanted["timeout"]
            assert ctx.get(unit.origin) == origin
            assert ctx.get(unit.memory.address) == origin + wanted["memory_address"] & DRAM
            for subcore in ("fp", "bp"):
                program = origin + wanted[f"{subcore}_program"] & DRAM
                assert ctx.get(getattr(unit, f"{subcore}_program")) == program
        assert await settings(ctx, host) == wanted

    simulate(unit, program)


def test_what_is_no_access_is_refused_and_does_nothing():
    unit, host = host_port()
    counter = counter_addresses(COUNTERS)["bp_wg", "busy"]
    unread = [at("start"), at("connect"), 0x14, counter + 8, at("enable") + 1, counter + 2, 0xFFC]
    unwritten = [at("identity"), at("place"), at("fp_status"), 0x14, counter, at("enable") + 2]
    ended = []

    async def watch(ctx):
        pulses = unit.start | unit.forget | unit.clear_counters | unit.connect
        async for *_, pulse, writes in ctx.tick().sample(pulses, unit.memory.write):
            ended.append(pulse | writes)

    async def program(ctx):
        before = await settings(ctx, host)
        for address in unread:
            assert await host.read(ctx, address) == (0, SLAVE_ERROR), hex(address)
        for address in unwritten:
            assert await host.write(ctx, address, WORD) == SLAVE_ERROR, hex(address)
        for name in (*SETTINGS, "start", "connect", "memory_data"):
            for strobe in (0b0111, 0b1110, 0):
                assert await host.write(ctx, at(name), WORD, strobe) == SLAVE_ERROR, name
        tag = BY_NAME["connect"].pack(tag=CONNECTIONS, valid=1)
        assert await host.write(ctx, at("connect"), tag) == SLAVE_ERROR
        assert await settings(ctx, host) == before
        assert not any(ended)

    simulate(unit, program, background=[watch])


def test_commands_last_one_cycle():
    unit, host = host_port()
    rng = random.Random(SEED)
    seen = []

    async def watch(ctx):
        signals = [unit.start, unit.forget, unit.clear_counters, unit.connect]
        async for _, _, *values, entry in ctx.tick().sample(*signals, unit.entry.as_value()):
            if any(values):
                seen.append((*values, entry if values[3] else None))

    async def program(ctx):
        wanted = []
        for _ in range(12):
            fields = {each.name: rng.getrandbits(1) for each in BY_NAME["start"].fields}
            assert await host.write(ctx, at("start"), BY_NAME["start"].pack(**fields)) == OKAY
            if any(fields.values()):
                start = fields["fp"] | fields["bp"] << 1
                wanted.append((start, fields["empty"], fields["zero"], 0, None))
            fields = {each.name: rng.getrandbits(each.bits) for each in BY_NAME["connect"].fields}
            fields["tag"] = rng.randrange(CONNECTIONS)
            assert await host.write(ctx, at("connect"), BY_NAME["connect"].pack(**fields)) == OKAY
            own = fields.pop("own")
            wanted.append((0, 0, 0, 1 << own, BY_NAME["connect"].pack(**fields)))
        assert seen == wanted

    simulate(unit, program, background=[watch])


def test_the_end_of_a_program_interrupts_until_it_is_cleared():
    unit, host = host_port()

    async def program(ctx):
        assert await host.read(ctx, at("interrupt")) == (0, OKAY)
        for bit, status in enumerate((unit.fp, unit.bp)):
            for end in (Progress.DONE, Progress.STOPPED):
                ctx.set(status.progress, Progress.RUNNING)
                await ctx.tick()
                ctx.set(status.progress, end)
                await ctx.tick().repeat(2)
                assert ctx.get(unit.irq) == 0
                assert await host.write(ctx, at("enable"), 1 << bit) == OKAY
                assert ctx.get(unit.irq) == 1
                assert await host.read(ctx, at("interrupt")) == (1 << bit, OKAY)
                assert await host.write(ctx, at("interrupt"), 0b11 ^ 1 << bit) == OKAY
                assert ctx.get(unit.irq) == 1
                assert await host.write(ctx, at("interrupt"), 1 << bit) == OKAY
                assert ctx.get(unit.irq) == 0
                assert await host.write(ctx, at("enable"), 0) == OKAY

    simulate(unit, program)


def test_the_upper_half_of_a_counter_is_of_the_time_when_the_lower_one_was_read():
    unit, host = host_port()
    rng = random.Random(SEED)

    async def program(ctx):
        for (name, event), address in counter_addresses(COUNTERS).items():
            counter = getattr(unit, name)[event]
            ctx.set(counter, value := rng.getrandbits(40))
            low = await host.read(ctx, address)
            ctx.set(counter, rng.getrandbits(40))
            high = await host.read(ctx, address + 4)
            assert (low, high) == ((value & WORD, OKAY), (value >> 32, OKAY))

    simulate(unit, program)


def test_words_of_dram_follow_each_other():
    unit, host = host_port()
    rng = random.Random(SEED)
    memory, words, base = unit.memory, {}, 0x12_3456_7000
    bad = base + 8

    async def serve(ctx):
        while True:
            while not (writes := ctx.get(memory.write)) and not ctx.get(memory.read):
                await ctx.tick()
            address = ctx.get(memory.address)
            for _ in range(rng.randrange(3)):
                await ctx.tick()
                assert ctx.get(memory.address) == address
            if writes:
                words[address] = ctx.get(memory.word)
            ctx.set(memory.value, words.get(address, 0))
            ctx.set(memory.error, address == bad)
            ctx.set(memory.written if writes else memory.found, 1)
            await ctx.tick()
            ctx.set(memory.written, 0)
            ctx.set(memory.found, 0)
            ctx.set(memory.error, 0)

    async def program(ctx):
        await host.write(ctx, at("origin_low"), base & WORD)
        await host.write(ctx, at("origin_high"), base >> 32)
        given = [rng.getrandbits(32) for _ in range(6)]
        for reads in (False, True):
            await host.write(ctx, at("memory_address"), 0)
            for number, word in enumerate(given):
                response = SLAVE_ERROR if base + 4 * number == bad else OKAY
                if reads:
                    value = 0 if response else word
                    assert await host.read(ctx, at("memory_data")) == (value, response)
                else:
                    assert await host.write(ctx, at("memory_data"), word) == response
                    assert words[base + 4 * number] == word
            pointer = (4 * len(given), OKAY)
            assert await host.read(ctx, at("memory_address")) == pointer
        assert len(words) == len(given)

    simulate(unit, program, background=[serve])
