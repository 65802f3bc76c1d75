"""Both ends of a handshake in Amaranth's simulator: a stream, or a channel of AXI."""

from __future__ import annotations

from typing import Any

__all__ = ["give", "take"]


async def give(ctx, port, *, channel: str = "", **fields: Any) -> None:
    """Presents fields, from this cycle on, until they are taken.

    ``channel`` is what the names of the port's members begin with.
    """
    for name, value in {**fields, "valid": 1}.items():
        ctx.set(getattr(port, f"{channel}{name}"), value)
    await ctx.tick().until(getattr(port, f"{channel}ready"))
    ctx.set(getattr(port, f"{channel}valid"), 0)


async def take(ctx, port, *names: str, channel: str = "") -> list:
    """Takes what is presented next, in this cycle or a later one: the fields of these names."""
    ready = getattr(port, f"{channel}ready")
    signals = [getattr(port, f"{channel}{name}") for name in ("valid", *names)]
    ctx.set(ready, 1)
    valid = False
    while not valid:
        _, _, valid, *values = await ctx.tick().sample(*signals)
    ctx.set(ready, 0)
    return values
