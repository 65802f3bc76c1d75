"""Random bits in hardware."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce

__all__ = ["NOISE_BITS", "SEED_BITS", "Noise"]

NOISE_BITS = 20
SEED_BITS = 16


class Noise(EmitOnce):
    """Random bits ``o`` in each cycle, from a seed that it has while ``run`` is low."""

    def __init__(self) -> None:
        super().__init__({"seed": In(SEED_BITS), "run": In(1), "o": Out(NOISE_BITS)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        state = Signal(32)  # of a linear congruential generator, whose upper bits are random
        m.d.sync += state.eq(Mux(self.run, state * 1664525 + 1013904223, Cat(self.seed, self.seed)))
        m.d.comb += self.o.eq(state[-NOISE_BITS:])
        return m
