"""A host on AXI4-Lite, for components that have its registers."""

from __future__ import annotations

import random

from backspike.hw.core.axi_lite import WORD_STROBE
from tests.hw.channels import give
from tests.hw.simulation import pause, pulse

__all__ = ["Host"]

PAUSE = 0.3
"""Odds that a channel waits for a cycle more."""


class Host:
    """Reads and writes words, each channel at a time of its own."""

    def __init__(self, bus, seed: object):
        self._bus = bus
        self._random = random.Random(str(seed))

    async def read(self, ctx, address: int) -> tuple[int, int]:
        """The word at an address, and the response."""
        await pause(ctx, self._random, PAUSE)
        await give(ctx, self._bus, channel="ar", addr=address)
        return await self._take(ctx, "r", "data", "resp")

    async def write(self, ctx, address: int, word: int, strobe: int = WORD_STROBE) -> int:
        """Writes a word; returns the response."""
        bus = self._bus
        for name, value in (("awaddr", address), ("wdata", word), ("wstrb", strobe)):
            ctx.set(getattr(bus, name), value)
        waiting = {"aw", "w"}
        while waiting:
            for channel in sorted(waiting):
                if self._random.random() < 0.5:
                    ctx.set(getattr(bus, f"{channel}valid"), 1)
            *_, address_taken, word_taken = await ctx.tick().sample(
                bus.awvalid & bus.awready, bus.wvalid & bus.wready
            )
            for channel, taken in (("aw", address_taken), ("w", word_taken)):
                if taken:
                    ctx.set(getattr(bus, f"{channel}valid"), 0)
                    waiting.remove(channel)
        (response,) = await self._take(ctx, "b", "resp")
        return response

    async def _take(self, ctx, channel: str, *fields: str) -> tuple[int, ...]:
        valid, ready = (getattr(self._bus, f"{channel}{name}") for name in ("valid", "ready"))
        while not ctx.get(valid):
            await ctx.tick()
        await pause(ctx, self._random, PAUSE)
        assert ctx.get(valid), "an answer must stay until it is taken"
        found = tuple(ctx.get(getattr(self._bus, f"{channel}{name}")) for name in fields)
        await pulse(ctx, ready)
        assert not ctx.get(valid), "there must be one answer"
        return found
