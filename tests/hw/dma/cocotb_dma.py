"""The DMA engines, arbiters and the DRAM against plain Python, and cocotbext's AXI slaves."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer
from cocotbext.axi import AxiBus, AxiRam

from backspike.hw.isa.dma.command import DmaCommand
from backspike.sim.harness.driver import PERIOD_NS, backdoor
from tests.hw.dma.bench import CHANNELS, DRAM_BYTES, ENGINES, SRAM_WORDS, DmaBench
from tests.hw.dma.reference import Copy
from tests.hw.launch import bench_settings

SETTINGS = bench_settings()
NO_LIMIT = (1 << 40) - 1
MOST_BYTES = 6000
"""Of a command: more than a page, so that bursts meet its end anywhere."""
HALF = SRAM_WORDS // 2


class Driver:
    """Fills the memories, runs commands side by side, and compares what came of them."""

    def __init__(self, dut):
        self.dut = dut
        self.widths = SETTINGS["widths"]
        self.beat = SETTINGS["bus_bits"] // 8
        bench = DmaBench(
            widths=self.widths,
            **{name: SETTINGS[name] for name in ("bus_bits", "burst_beats", "outstanding")},
        )
        self.layouts = {name: bench.counter_layout(name) for name in ENGINES}
        self.srams = [
            [
                backdoor(f"bench.sram_{channel}_{number}", SRAM_WORDS, width)
                for number, width in enumerate(self.widths)
            ]
            for channel in range(CHANNELS)
        ]
        words = DRAM_BYTES // self.beat
        self.dram = backdoor("bench.dram", words, SETTINGS["bus_bits"]).reshape(-1)

    async def reset(self):
        dut = self.dut
        for name in ("stall", "dram_stall", "outside", "origin"):
            getattr(dut, name).value = 0
        for name in ENGINES:
            getattr(dut, f"{name}_start").value = 0
        dut.latency.value = 2
        dut.limit.value = NO_LIMIT
        for name in ("arready", "rvalid", "awready", "wready", "bvalid"):
            getattr(dut, f"axi__{name}").value = 0
        dut.rst.value = 1
        Clock(dut.clk, PERIOD_NS, unit="ns", impl="gpi").start()
        for _ in range(4):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)

    def go_outside(self, random):
        """From now on, cocotbext's slave is the DRAM, with pauses on each channel."""
        ram = AxiRam(
            AxiBus.from_prefix(self.dut, "axi_"),
            self.dut.clk,
            self.dut.rst,
            size=DRAM_BYTES,
            mem=bytearray(DRAM_BYTES),
        )
        self.dram = np.frombuffer(ram.mem, np.uint8)
        self.dut.outside.value = 1
        for part, names in ((ram.write_if, ("aw", "w", "b")), (ram.read_if, ("ar", "r"))):
            part.log.setLevel("WARNING")
            for name in names:
                getattr(part, f"{name}_channel").set_pause_generator(
                    pauses(np.random.default_rng(random.integers(1 << 32)))
                )

    def sram(self, name: str, copy: Copy) -> np.ndarray:
        return self.srams[int(name[-1])][copy.sram]

    def fill(self, random):
        for sram in (sram for channel in self.srams for sram in channel):
            sram[:] = random.integers(0, 256, sram.shape, dtype=np.uint8)
        self.dram[:] = random.integers(0, 256, self.dram.shape, dtype=np.uint8)

    async def run(self, copies: dict[str, Copy], limit: int = 200_000) -> dict[str, int]:
        """Starts engines together, waits for all, and returns their cycles."""
        dut = self.dut
        (origin,) = {copy.origin for copy in copies.values()}
        dut.origin.value = origin
        layout = data.Layout.cast(DmaCommand)
        for name, copy in copies.items():
            command = layout.const(copy.fields).as_value().value
            getattr(dut, f"{name}_command").value = command
        # A command may be there long before its start.
        for _ in range(5):
            await FallingEdge(dut.clk)
        for name in copies:
            getattr(dut, f"{name}_start").value = 1
        await FallingEdge(dut.clk)
        for name in copies:
            getattr(dut, f"{name}_start").value = 0
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        if not int(dut.ended.value):
            await First(RisingEdge(dut.ended), Timer(limit * PERIOD_NS, unit="ns"))
        assert int(dut.ended.value), f"not done after {limit} cycles: {copies}"
        await FallingEdge(dut.clk)
        assert not int(dut.broken.value), f"a rule of AXI was broken: {copies}"
        for name, copy in copies.items():
            if not self.error(name):
                assert self.counters(name)["busy"] == copy.beats
        return {name: int(getattr(dut, f"{name}_cycles").value) for name in copies}

    def error(self, name: str) -> bool:
        return bool(int(getattr(self.dut, f"{name}_error").value))

    def counters(self, name: str) -> dict[str, int]:
        layout = self.layouts[name]
        values = layout.from_bits(int(getattr(self.dut, f"{name}_counters").value))
        return {counter: values[counter] for counter, _ in layout}

    def draw(self, random, name: str, origin: int) -> Copy:
        """A command in the engine's own part of the SRAMs and of DRAM."""
        sram = int(random.integers(len(self.widths)))
        word = self.widths[sram] // 8
        # Half of them are short: less than a beat, or a few.
        most = min(HALF, MOST_BYTES // word)
        if random.random() < 0.5:
            most = min(most, max(1, 3 * self.beat // word))
        words = int(random.integers(1, most + 1))
        beats = -(-words * word // self.beat)
        rows = int(random.integers(1, 1 + min(9, max(1, MOST_BYTES // self.beat // beats))))
        # The engine's quarter of DRAM; what is read is anywhere in the first half.
        quarter = DRAM_BYTES // 4
        first, size = (2 + int(name[-1])) * quarter, quarter
        if name.startswith("read"):
            first, size = 0, 2 * quarter
        steps = size // self.beat - beats
        last_row = rows - 1
        step = int(random.integers(0, steps // max(1, last_row) + 1)) if last_row else 7
        begin = int(random.integers(0, max(1, steps - step * last_row)))
        dram, dram_row = begin, step
        if random.random() < 0.3:
            dram, dram_row = begin + step * last_row, -step
        steps = HALF - words
        gap = int(random.integers(0, steps // max(1, last_row) + 1)) if last_row else 5
        base = int(random.integers(0, max(1, steps - gap * last_row)))
        sram_row = gap
        if random.random() < 0.3:
            base, sram_row = base + gap * last_row, -gap
        if name.startswith("write"):
            base += HALF
        return Copy(
            sram=sram,
            base=base,
            words=words,
            rows=rows,
            sram_row=sram_row,
            dram=(first + dram * self.beat - origin) % (1 << 32),
            dram_row=dram_row * self.beat,
            origin=origin,
            word_bytes=word,
            beat_bytes=self.beat,
        )

    def rows(self, sram: int, rows: int, dram: int, dram_row: int) -> Copy:
        """Rows of one word, one behind the other in the SRAM."""
        return Copy(
            sram=sram,
            base=0,
            words=1,
            rows=rows,
            sram_row=1,
            dram=dram,
            dram_row=dram_row,
            origin=0,
            word_bytes=self.widths[sram] // 8,
            beat_bytes=self.beat,
        )

    async def check(self, random, cases: int):
        """Random commands, one to four at a time."""
        for case in range(cases):
            self.fill(random)
            # Multiples of the DRAM's size beside a few beats: addresses wrap at 2**32 there.
            origin = int(random.integers(0, 64)) * self.beat + (int(random.integers(200)) << 32)
            names = random.permutation(ENGINES)[: random.integers(1, len(ENGINES) + 1)]
            copies = {str(name): self.draw(random, str(name), origin) for name in names}
            self.dut.stall.value = int(random.choice([0, 0, 60, 200]))
            self.dut.dram_stall.value = int(random.choice([0, 0, 60, 200]))
            self.dut.latency.value = int(random.choice([2, 3, 10, 40]))
            want_srams = [[sram.copy() for sram in channel] for channel in self.srams]
            want_dram = self.dram.copy()
            for name, copy in copies.items():
                sram = want_srams[int(name[-1])][copy.sram]
                if name.startswith("read"):
                    copy.read(self.dram, sram)
                else:
                    copy.write(sram, want_dram)
            await self.run(copies)
            where = f"case {case} seed {SETTINGS['seed']} {copies}"
            assert not any(self.error(name) for name in copies), where
            self.same(want_srams, want_dram, where)

    def same(self, want_srams, want_dram, where: str):
        for channel, (wants, srams) in enumerate(zip(want_srams, self.srams, strict=True)):
            for number, (want, got) in enumerate(zip(wants, srams, strict=True)):
                wrong = np.flatnonzero((want != got).any(1))
                assert not len(wrong), f"sram {channel} {number} words {wrong}: {where}"
        wrong = np.flatnonzero(want_dram != self.dram)
        assert not len(wrong), f"bytes {wrong[:40]} of DRAM: {where}"


def pauses(random):
    """Runs of pauses and of none, of any density."""
    while True:
        density = random.choice([0.0, 0.1, 0.5, 0.9])
        for _ in range(200):
            yield bool(random.random() < density)


async def begin(dut) -> tuple[Driver, np.random.Generator]:
    driver = Driver(dut)
    await driver.reset()
    return driver, np.random.default_rng(SETTINGS["seed"])


@cocotb.test()
async def copies_on_dram(dut):
    driver, random = await begin(dut)
    await driver.check(random, SETTINGS["cases"])


@cocotb.test()
async def copies_on_axi_ram(dut):
    driver, random = await begin(dut)
    driver.go_outside(random)
    await driver.check(random, SETTINGS["axi_cases"])


@cocotb.test()
async def nothing_is_read_after_an_error(dut):
    driver, random = await begin(dut)
    errors = 0
    for case in range(60):
        driver.fill(random)
        copy = driver.draw(random, "read_0", 0)
        dut.stall.value = int(random.choice([0, 100]))
        dut.dram_stall.value = int(random.choice([0, 100]))
        dut.latency.value = int(random.choice([2, 30]))
        limit = int(random.integers(0, DRAM_BYTES // 2))
        if random.random() < 0.5:
            row = int(random.integers(copy.rows))
            limit = copy.row(row)[1] + int(random.integers(copy.row_bytes))
        dut.limit.value = limit
        wants = [[sram.copy() for sram in channel] for channel in driver.srams]
        fails = copy.read(driver.dram, wants[0][copy.sram], limit)
        await driver.run({"read_0": copy})
        assert driver.error("read_0") == fails, f"case {case} limit {limit} {copy}"
        driver.same(wants, driver.dram, f"case {case} limit {limit} {copy}")
        errors += fails
    assert 10 < errors < 60


@cocotb.test()
async def writes_stop_at_an_error(dut):
    """What comes before the error is written, and of what comes after it, what was begun."""
    driver, random = await begin(dut)
    sram, rows, limit = driver.widths.index(SETTINGS["bus_bits"]), 30, DRAM_BYTES // 2
    dut.limit.value = limit
    for good, latency, stall in ((0, 2, 0), (1, 30, 0), (17, 5, 0), (29, 3, 150), (30, 3, 0)):
        driver.fill(random)
        dut.latency.value, dut.dram_stall.value = latency, stall
        want = driver.dram.copy()
        copy = driver.rows(sram, rows, limit - good * driver.beat, driver.beat)
        copy.write(driver.srams[0][sram], want)
        want[limit:] = driver.dram[limit:]
        await driver.run({"write_0": copy})
        assert driver.error("write_0") == (good < rows)
        np.testing.assert_array_equal(driver.dram, want)
    # Rows go downwards from the limit: only the first one is refused.
    for latency in (2, 40):
        driver.fill(random)
        dut.latency.value, dut.dram_stall.value = latency, 0
        old, want = driver.dram.copy(), driver.dram.copy()
        copy = driver.rows(sram, rows, limit, -driver.beat)
        copy.write(driver.srams[0][sram], want)
        await driver.run({"write_0": copy})
        assert driver.error("write_0")
        begun = SETTINGS["outstanding"] - 1
        where = limit - begun * driver.beat
        np.testing.assert_array_equal(driver.dram[limit:], old[limit:])
        np.testing.assert_array_equal(driver.dram[:where], old[:where])
        if latency == 40:
            np.testing.assert_array_equal(driver.dram[where:limit], want[where:limit])
    # Another command finds no trace of it.
    dut.limit.value = NO_LIMIT
    await driver.check(random, 2)


@cocotb.test(skip=SETTINGS["outstanding"] == 1)
async def one_beat_a_cycle(dut):
    """Cycles are those of the beats, or of the words where a beat has several, and a start."""
    driver, random = await begin(dut)
    driver.fill(random)
    for latency, (sram, width) in product((2, 8), enumerate(driver.widths)):
        dut.latency.value = latency
        word = width // 8
        for words, rows in ((1, 1), (max(1, 40 * driver.beat // word), 1), (None, 12)):
            if words is None:  # rows of nine beats, unaligned, that leave a part of the last one
                words = max(1, 9 * driver.beat // word - (word < driver.beat))
            row_beats = -(-words * word // driver.beat)
            copy = replace(
                driver.rows(sram, rows, 3 * driver.beat, (row_beats + 5) * driver.beat),
                words=words,
                sram_row=words if words * rows <= SRAM_WORDS else 0,
            )
            items = rows * max(words, row_beats)
            for name, start in (("read_0", 6), ("write_0", 7)):
                cycles = (await driver.run({name: copy}))[name]
                dut._log.info(f"{name} {width} bits: {copy.beats} beats in {cycles} cycles")
                assert cycles == items + latency + start, (name, width, words, rows, cycles)


@cocotb.test(skip=SETTINGS["outstanding"] == 1)
async def masters_share_the_bus_fairly(dut):
    """Two engines at once take as long as their beats, and end together."""
    driver, random = await begin(dut)
    driver.fill(random)
    dut.latency.value = 8
    sram = driver.widths.index(SETTINGS["bus_bits"])
    for kind in ("read", "write"):
        whole = replace(driver.rows(sram, 1, 0, 0), words=400)
        copies = {
            f"{kind}_{channel}": replace(whole, dram=channel * DRAM_BYTES // 2)
            for channel in range(CHANNELS)
        }
        cycles = await driver.run(copies)
        assert max(cycles.values()) <= 2 * 400 + 24
        assert min(cycles.values()) >= 2 * 400 - 2 * SETTINGS["burst_beats"]
