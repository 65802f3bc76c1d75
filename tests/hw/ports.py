"""Memories behind the ports of a circuit in Amaranth's simulator, ready as often as a test says."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["read_memory", "write_memory"]


def read_memory(port, word_at: Callable[[int], int], *, ready: Callable[[], bool]):
    """A testbench for the background: what answers a :class:`ReadPort`.

    It takes a request in each cycle in which ``ready()`` is true. ``word_at(address)`` is then
    there in the cycle after it; in all others something else is.
    """
    litter = random.Random(len(port.data))

    async def memory(ctx):
        word = None
        while True:
            takes = bool(ready())
            ctx.set(port.ready, takes)
            ctx.set(port.data, litter.getrandbits(len(port.data)) if word is None else word)
            *_, asks, address = await ctx.tick().sample(port.en, port.addr)
            word = word_at(address) if asks and takes else None

    return memory


def write_memory(port, put: Callable[[int, int, int], None], *, ready: Callable[[], bool]):
    """A testbench for the background: what takes the words of a :class:`WritePort`.

    ``put(address, word, mask)`` is called for each that is taken, in the cycles in which
    ``ready()`` is true.
    """

    async def memory(ctx):
        while True:
            takes = bool(ready())
            ctx.set(port.ready, takes)
            *_, asks, address, word, mask = await ctx.tick().sample(
                port.en, port.addr, port.data, port.mask
            )
            if asks and takes:
                put(address, word, mask)

    return memory
