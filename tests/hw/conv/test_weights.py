"""Without these, a tile could be overwritten while it is at work, or a group begin at another."""

from __future__ import annotations

import itertools
import random
from collections import deque

import pytest

from backspike.hw.conv.weights import WeightLoader
from tests.hw.ports import read_memory
from tests.hw.simulation import pulse, simulate

SEED = 61
RING_DEPTH = 8
STRIDES = {
    "w_base": 7000,
    "w_out_tile": 3001,
    "w_group": -900,
    "w_row_group": 401,
    "w_tile": 101,
    "w_row": 29,
    "w_col": -5,
    "in_tile": 300,
    "in_row": 17,
}


def draw(rng) -> dict[str, int]:
    """Counts of a walk whose groups have at most as many tiles as the ring."""
    kernel_w = rng.randint(1, 3)
    group_tiles = rng.randint(1, RING_DEPTH // kernel_w)
    group_rows = rng.randint(1, RING_DEPTH // kernel_w // group_tiles)
    return {
        "out_tiles": rng.randint(1, 3),
        "in_groups": rng.randint(1, 3),
        "group_tiles": group_tiles,
        "last_tiles": rng.randint(1, group_tiles),
        "row_groups": rng.randint(1, 2),
        "group_rows": group_rows,
        "last_rows": rng.randint(1, group_rows),
        "kernel_w": kernel_w,
    }


def groups(walk: dict[str, int]):
    """Groups in order, each as the addresses and input offsets of its tiles."""
    found = []
    for out, group, row_group in itertools.product(
        range(walk["out_tiles"]), range(walk["in_groups"]), range(walk["row_groups"])
    ):
        tiles = walk["last_tiles" if group == walk["in_groups"] - 1 else "group_tiles"]
        rows = walk["last_rows" if row_group == walk["row_groups"] - 1 else "group_rows"]
        first = STRIDES["w_base"] + out * STRIDES["w_out_tile"]
        first += group * STRIDES["w_group"] + row_group * STRIDES["w_row_group"]
        found.append(
            [
                (
                    first + t * STRIDES["w_tile"] + r * STRIDES["w_row"] + s * STRIDES["w_col"],
                    t * STRIDES["in_tile"] + r * STRIDES["in_row"] + s,
                )
                for t, r, s in itertools.product(range(tiles), range(rows), range(walk["kernel_w"]))
            ]
        )
    return found


@pytest.mark.parametrize("hurry", [1.0, 0.3])
@pytest.mark.parametrize(("lanes", "weight_words"), [(4, 1), (4, 2), (2, 2)])
def test_the_ring_holds_every_group_from_its_base_until_it_is_released(lanes, weight_words, hurry):
    rng = random.Random(f"{SEED}{lanes}{weight_words}{hurry}")
    parts = lanes // weight_words
    loader = WeightLoader(
        word_bits=8, lanes=lanes, weight_words=weight_words, ring_depth=RING_DEPTH
    )
    full = 0

    def word(address: int) -> int:
        return address * 0x9E37 % (1 << 8 * weight_words)

    async def bench(ctx):
        nonlocal full
        for _ in range(12):
            walk = draw(rng)
            for name, value in {**walk, **STRIDES}.items():
                ctx.set(loader.command[name], value % (1 << 16) if name in STRIDES else value)
            assert ctx.get(loader.idle)
            await pulse(ctx, loader.start)
            ring: dict[int, list] = {slot: [None] * parts for slot in range(RING_DEPTH)}
            offsets = [None] * RING_DEPTH
            held: set[int] = set()  # slots that may not be written
            base = None
            to_walk, walked = deque(groups(walk)), deque()
            while to_walk or walked:
                if ctx.get(loader.write):
                    slot, part = ctx.get(loader.slot), ctx.get(loader.part)
                    assert slot not in held, f"slot {slot} is at work"
                    ring[slot][part] = ctx.get(loader.rows)
                    if ctx.get(loader.offset_write):
                        assert part == parts - 1
                        offsets[slot] = ctx.get(loader.offset)
                        held.add(slot)
                        full += len(held) == RING_DEPTH
                walks = bool(ctx.get(loader.group_valid)) and rng.random() < hurry / 2
                releases = bool(walked) and rng.random() < hurry / 4
                if ctx.get(loader.group_valid):
                    start = ctx.get(loader.group_base)
                    assert base in (None, start)
                    slots = [(start + entry) % RING_DEPTH for entry in range(len(to_walk[0]))]
                    base = start
                    for slot, (address, offset) in zip(slots, to_walk[0], strict=True):
                        assert ring[slot] == [word((address + p) % (1 << 16)) for p in range(parts)]
                        assert offsets[slot] == offset
                if walks:
                    base = (base + len(slots)) % RING_DEPTH
                ctx.set(loader.next_group, walks)
                ctx.set(loader.release, releases)
                if releases:
                    held -= set(walked.popleft())
                if walks:
                    walked.append(slots)
                    to_walk.popleft()
                await ctx.tick()
            ctx.set(loader.next_group, 0)
            ctx.set(loader.release, 0)
            await ctx.tick()
            assert not ctx.get(loader.group_valid)

    memory = read_memory(loader.port, word, ready=lambda: rng.random() < hurry)
    simulate(loader, bench, background=[memory])
    assert full, "the ring was never full"
