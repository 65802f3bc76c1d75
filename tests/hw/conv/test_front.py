"""Without these, a pixel in which nothing takes part could be lost, or its group never end."""

from __future__ import annotations

import random as standard_random
from collections import deque

import numpy as np
import pytest

from backspike.hw.conv.front import ConvFront
from tests.hw.conv.walks import MEMORY, Input, draw
from tests.hw.ports import read_memory
from tests.hw.simulation import pulse, simulate

SEED = 73
CASES = 8
PIXELS, GROUP_ROWS, GROUP_TILES, RING_DEPTH = 4, 3, 7, 8


class Expected:
    """What a command is to become: requests and steps, with the groups that they belong to."""

    def __init__(self, front_lanes: int, fire_lanes: int, walk, image, command):
        self.requests: list[dict[str, int]] = []
        self.steps: list[dict] = []
        self.groups = 0
        self.idle = 0
        """Pixels that do not come to the array."""
        every = list(walk.windows(image))
        for number, ((out, group, row_group, *scan), window) in enumerate(every):
            sample, step, y, x = scan
            fire = (1 << fire_lanes) - 1
            if fire_lanes and command["mask"]:
                column = command["fire_x"] + x * command["fire_col"]
                row = command["fire_base"] + out * command["fire_tile"]
                row += sample * command["fire_sample"] + step * command["fire_step"]
                row += y * command["fire_row"]
                word = fire_word((row + column // PIXELS) % MEMORY, PIXELS * fire_lanes)
                fire &= word >> column % PIXELS * fire_lanes
            some, present = any(window), any(entry is not None for entry in window)
            busy = (some and (fire > 0 or not fire_lanes)) if command["skip"] else present
            fresh = group == row_group == 0 and not command["psum_acc"]
            last = number + 1 == len(every) or every[number + 1][0][:3] != (out, group, row_group)
            pixel = {
                "addr": command["out_base"]
                + out * command["out_tile"]
                + sample * command["out_sample"]
                + step * command["out_step"]
                + y * command["out_row"]
                + x * command["out_col"],
                "input": command["in_base"]
                - walk.pad_left
                + group * command["in_group"]
                + row_group * command["in_row_group"]
                + sample * command["in_sample"]
                + step * command["in_step"]
                + y * command["in_out_row"]
                + x * walk.stride,
                "write": busy or fresh,
                "read": busy and not fresh,
                "group_last": last,
            }
            pixel |= {name: pixel[name] % MEMORY for name in ("addr", "input")}
            if fire_lanes:
                pixel["fire"] = fire
            if pixel["write"] or last:
                self.requests.append(pixel)
                self._add_steps(front_lanes, pixel, window if busy else [], command["skip"])
            else:
                self.idle += 1
            self.groups += last

    def _add_steps(self, lanes: int, pixel, window, skip) -> None:
        """Of each step: the entries that lanes take, or None for lanes that take none."""
        columns = [
            [entry for entry, bits in enumerate(window) if bits is not None and bits >> lane & 1]
            for lane in range(lanes)
        ]
        if skip:
            longest = max(map(len, columns))
            taken = [[c[i] if i < len(c) else None for c in columns] for i in range(longest)]
        else:
            there = [entry for entry, bits in enumerate(window) if bits is not None]
            taken = [[entry if entry in c else None for c in columns] for entry in there]
        for number, entries in enumerate(taken or [[None] * lanes]):
            last = number + 1 >= len(taken)
            self.steps.append(
                {
                    "entries": entries,
                    "entry": bool(taken),
                    "first": number == 0,
                    "last": last,
                    "group": self.groups,
                    "pixel": pixel,
                }
            )


def fire_word(address: int, bits: int) -> int:
    """Of a fire map: in every fourth word nobody takes part."""
    return standard_random.Random(address).getrandbits(bits) if address % 4 else 0


@pytest.mark.parametrize(("bits", "fire_lanes"), [(2, 0), (1, 3)])
def test_every_pixel_becomes_its_request_and_its_steps(bits, fire_lanes):
    random = np.random.default_rng([SEED, bits])
    front = ConvFront(
        bits=bits,
        pixels=PIXELS,
        group_rows=GROUP_ROWS,
        group_tiles=GROUP_TILES,
        ring_depth=RING_DEPTH,
        fire_lanes=fire_lanes,
    )
    hurry = pace = 1.0
    words: dict[int, int] = {}
    idle = 0

    def goes() -> bool:
        return bool(random.random() < hurry)

    async def bench(ctx):
        nonlocal hurry, pace, idle
        for case in range(CASES):
            hurry = float(random.choice([1.0, 0.5]))
            pace = hurry * (0.2 if case % 2 else 1.0)
            walk = draw(random, group_rows=GROUP_ROWS, group_tiles=GROUP_TILES)
            image = Input(walk, random, bits=bits, pixels=PIXELS, density=0.3)
            words.clear()
            words.update(image.words)
            command = image.command(walk, PIXELS)
            command |= {
                name: int(random.integers(0, MEMORY))
                for part in ("base", "tile", "sample", "step", "row")
                for name in (f"out_{part}", f"fire_{part}")
            }
            command["out_col"] = int(random.integers(0, MEMORY))
            command |= {"fire_x": int(random.integers(0, 9)), "fire_col": case % 3 + 1}
            command |= {"psum_acc": case % 2, "skip": case % 4 < 3, "mask": case % 5 < 4}
            for name, value in command.items():
                ctx.set(front.command[name], value)
            expected = Expected(bits, fire_lanes, walk, image.image, command)
            idle += expected.idle
            await run(ctx, expected)

    async def run(ctx, expected):
        await pulse(ctx, front.start)
        requests, steps = deque(expected.requests), deque(expected.steps)
        bases, claims = [int(random.integers(0, RING_DEPTH))], 0
        while steps or len(bases) <= expected.groups:
            requested, claimable, held = goes(), goes(), goes()
            # An array that is slow, so that pixels of the next group wait.
            stepped = random.random() < pace
            ctx.set(front.request.ready, requested)
            ctx.set(front.o.ready, int(stepped))
            ctx.set(front.claimable, claimable)
            ctx.set(front.group_valid, held)
            ctx.set(front.group_base, bases[-1])
            _, _, asks, request, claim, ends, valid, step = await ctx.tick().sample(
                front.request.valid,
                front.request.payload,
                front.claim,
                front.next_group,
                front.o.valid,
                front.o.payload,
            )
            if asks and requested:
                wanted = requests.popleft()
                assert {name: request[name] for name in wanted} == wanted
            assert claimable or not claim
            claims += claim
            if valid and stepped:
                wanted = steps.popleft()
                base = bases[wanted["group"]]
                for lane, chosen in enumerate(wanted["entries"]):
                    assert step.take >> lane & 1 == (chosen is not None)
                    assert chosen is None or step.slots[lane] == (base + chosen) % RING_DEPTH
                for name in ("entry", "first", "last"):
                    assert step[name] == wanted[name]
                assert {name: step.pixel[name] for name in wanted["pixel"]} == wanted["pixel"]
            if ends:
                bases.append(int(random.integers(0, RING_DEPTH)))
        assert not requests
        assert claims == sum(pixel["read"] for pixel in expected.requests)
        for _ in range(3):
            await ctx.tick()
        assert ctx.get(front.idle)

    def fires(address):
        return fire_word(address, PIXELS * fire_lanes)

    memories = [read_memory(front.input, words.__getitem__, ready=goes)]
    memories += [read_memory(front.fire, fires, ready=goes)] if fire_lanes else []
    simulate(front, bench, background=memories)
    assert idle
