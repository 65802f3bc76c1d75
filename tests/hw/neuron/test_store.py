"""Without these, a result could be lost, of another pixel, or pooled over the border of a map."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, PSUM_BITS
from backspike.hw.isa.neuron.command import Destination, Operation
from backspike.hw.isa.neuron.kinds import GRAD, SOMA
from backspike.hw.neuron.store import Store
from tests.hw.neuron.walks import place, random_command, visits, word_and_pixel
from tests.hw.ports import write_memory
from tests.hw.simulation import pulse, simulate

SEED = 2357
LANES, PIXELS, CONVERT_LANES = 6, 4, 2
SPECIAL = [0.0, -0.0, 2.0**-24, -(2.0**-24), 65504, -65504, np.inf, -np.inf, np.nan]

CASES = [
    # The engine, the side of a window, and the settings.
    (SOMA, 1, {"operation": Operation.STEP}),
    (SOMA, 2, {"operation": Operation.STEP, "destination": Destination.CONV}),
    (SOMA, 3, {"operation": Operation.STEP}),
    (SOMA, 1, {"operation": Operation.ADD, "destination": Destination.MAP}),
    (SOMA, 1, {"operation": Operation.ADD, "destination": Destination.CONV}),
    (SOMA, 1, {"operation": Operation.COMPARE, "destination": Destination.BITS}),
    (GRAD, 4, {"operation": Operation.STEP}),
    (GRAD, 1, {"operation": Operation.MULTIPLY, "destination": Destination.CONV}),
    (GRAD, 1, {"operation": Operation.COMPARE, "destination": Destination.BITS}),
]


def expected(kind, command, values, bits):
    """What is written to each memory, as (address, granule, what) in order."""
    settings, last = command["settings"], command["extent"]["last_lanes"]
    operation = settings["operation"]
    step, compare = operation is Operation.STEP, operation is Operation.COMPARE
    psum_bits, psum_lsb = kind.psum_grid(BINARY16)
    written: dict[str, list] = {
        name: [] for name in ("conv", kind.map_memory, *(r.memory for r in kind.bit_results))
    }
    pooled = 0
    for visit, codes, spikes in zip(visits(command["extent"]), values, bits, strict=True):
        used = last if visit.last_tile else LANES
        at = place(command["write"], visit)
        spikes &= (1 << used) - 1
        pooled = spikes | (0 if visit.opens else pooled)
        codes = [int(code) if lane < used else 0 for lane, code in enumerate(codes)]
        if not compare and not step and settings["destination"] is Destination.CONV:
            for lane, code in enumerate(codes):
                number = np.uint16(code).view(np.float16)
                psum = -(1 << (psum_bits - 1))
                if np.isfinite(number):
                    psum = int(np.ldexp(np.float64(number), -psum_lsb))
                written["conv"].append((at, lane, psum % (1 << PSUM_BITS)))
        elif not compare:
            written[kind.map_memory] += [(at, lane, code) for lane, code in enumerate(codes)]
        for result in kind.bit_results:
            complete = not result.pooled or (visit.closes and visit.whole)
            if result.of_compare if compare else step and result.of_step and complete:
                where = word_and_pixel(command[f"{result.memory}_write"], visit, PIXELS)
                written[result.memory].append((*where, pooled if result.pooled else spikes))
    return written


def run(store, command, values, bits, random, granting, under_way):
    """Pushes all results; what was written by memory, and the cycles until all was."""
    ports = {
        name.removesuffix("_write"): getattr(store, name)
        for name in store.signature.members
        if name.endswith("_write")
    }
    written = {name: [] for name in ports}
    cycles = waits = 0

    def memory_of(name, port):
        size = len(port.data) // len(port.mask)

        def put(address, word, mask):
            written[name] += [
                (address, granule, word >> granule * size & (1 << size) - 1)
                for granule in range(len(port.mask))
                if mask >> granule & 1
            ]

        return write_memory(port, put, ready=lambda: random.random() < granting)

    async def drive(ctx):
        nonlocal cycles, waits
        last = command["extent"]["last_lanes"]
        ctx.set(store.command, command)
        await pulse(ctx, store.start)
        waiting = list(zip(visits(command["extent"]), values, bits, strict=True))
        lanes: list = [None] * under_way
        while waiting or any(lanes):
            assert ctx.get(store.active), "results are still to come"
            goes = None
            if waiting:
                visit = waiting[0][0]
                ctx.set(store.window_done, visit.closes and visit.whole)
                if ctx.get(store.available):
                    goes = waiting.pop(0)
                else:
                    waits += 1
            ctx.set(store.reserve, goes is not None)
            leaves, *lanes = (*lanes, goes)
            ctx.set(store.push, leaves is not None)
            if leaves:
                visit, codes, spikes = leaves
                used = last if visit.last_tile else LANES
                assert ctx.get(store.used) == (1 << used) - 1
                ctx.set(store.values, sum(int(c) << 16 * i for i, c in enumerate(codes)))
                ctx.set(store.bits, spikes)
            await ctx.tick()
            cycles += 1
        ctx.set(store.reserve, 0)
        ctx.set(store.push, 0)
        assert not ctx.get(store.active), "all results have come"
        while not ctx.get(store.idle):
            await ctx.tick()
            cycles += 1

    simulate(store, drive, background=[memory_of(*each) for each in ports.items()])
    return written, cycles, waits


@pytest.mark.parametrize("under_way", [1, 7])
@pytest.mark.parametrize("granting", [1, 0.2])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_all_that_is_pushed_is_written_where_it_belongs(case, granting, under_way):
    kind, pooling, settings = CASES[case]
    random = np.random.default_rng((SEED, case))
    command = random_command(random, kind.command, lanes=LANES, pooling=pooling)
    command["extent"]["window_rows"] += 2
    command["settings"] = settings
    count = len(list(visits(command["extent"])))
    values = random.integers(1 << 16, size=(count, LANES))
    special = np.float16(random.choice(SPECIAL, values.shape)).view(np.uint16)
    values = np.where(random.random(values.shape) < 0.3, special, values)
    # A single spike of a window shows that it is pooled with the others, and with no others.
    bits = [int(random.integers(1 << LANES)) & int(random.integers(1 << LANES)) for _ in values]
    psum_bits, psum_lsb = kind.psum_grid(BINARY16)
    store = Store(
        kind=kind,
        format=BINARY16,
        lanes=LANES,
        pixels=PIXELS,
        psum_bits=psum_bits,
        psum_lsb=psum_lsb,
        convert_lanes=CONVERT_LANES,
        under_way=under_way,
    )
    written, cycles, waits = run(store, command, values, bits, random, granting, under_way)
    assert written == expected(kind, command, values, bits), (SEED, command)
    if granting == 1:
        to_conv = bool(written["conv"])
        most = count * (LANES // CONVERT_LANES if to_conv else 1)
        assert cycles <= most + under_way + 3, "as many cycles as results, and their way"
        assert to_conv or not waits
