"""Without these, a sum could lose a carry, or a NaN last longer or shorter than its pixel."""

from __future__ import annotations

import random

import pytest
from amaranth import Module, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from backspike.hw.conv.accumulator import Accumulator, adder_tree
from tests.hw.simulation import simulate

SEED = 59
WIDTH, TERM_BITS = 12, 6
NAN = -1 << WIDTH - 1


@pytest.mark.parametrize("carry", [False, True])
def test_a_psum_is_the_sum_of_its_terms_or_nan(carry):
    rng = random.Random(f"{SEED}{carry}")
    unit = Accumulator(width=WIDTH, term_bits=TERM_BITS, carry=carry)

    async def testbench(ctx):
        psum = None  # before the first pixel it is anything
        for _ in range(2000):
            largest = 1 << WIDTH - 2
            given = {
                "accumulate": rng.random() < 0.8,
                "first": psum is None
                or (psum != NAN and abs(psum) > largest)
                or rng.random() < 0.1,
                "read": rng.random() < 0.5,
                "old": rng.choice([NAN, 0, rng.randint(-largest, largest)]),
                "term": rng.randint(-1 << TERM_BITS - 1, (1 << TERM_BITS - 1) - 1),
                "nan": rng.random() < 0.05,
            }
            if carry:
                given["carry"] = rng.getrandbits(1)
            for name, value in given.items():
                ctx.set(getattr(unit, name), value)
            await ctx.tick()
            if given["accumulate"]:
                start = psum
                if given["first"]:
                    start = given["old"] if given["read"] else 0
                if start == NAN or given["nan"]:
                    psum = NAN
                else:
                    psum = start + given["term"] + given.get("carry", 0)
            if psum is not None:
                assert ctx.get(unit.psum) == psum, given

    simulate(unit, testbench)


class Tree(Component):
    """An adder tree by itself; its carry is added to its sum."""

    def __init__(self, terms: int, bits: int, carries: bool):
        self._carries = carries
        super().__init__(
            {
                **{f"term_{i}": In(signed(bits)) for i in range(terms)},
                "carries": In(terms),
                "sum": Out(signed(bits + terms)),
            }
        )
        self.terms = [getattr(self, f"term_{i}") for i in range(terms)]

    def elaborate(self, platform):
        m = Module()
        # A register of the domain, also where there is a single term.
        m.d.sync += Signal().eq(0)
        carries = list(self.carries) if self._carries else None
        total, carry = adder_tree(m, self.terms, carries)
        m.d.comb += self.sum.eq(total if carry is None else total + carry)
        return m


@pytest.mark.parametrize("carries", [False, True])
@pytest.mark.parametrize("levels", [0, 1, 2, 4])
def test_a_tree_adds_all_of_its_terms_and_carries(levels, carries):
    rng = random.Random(f"{SEED}{levels}{carries}")
    tree = Tree(1 << levels, 4, carries)
    sums = []

    async def testbench(ctx):
        for _ in range(100):
            draw = rng.choice([lambda: -8, lambda: 7, lambda: rng.randint(-8, 7)])
            values = [draw() for _ in tree.terms]
            bits = rng.choice([0, (1 << len(values)) - 1, rng.getrandbits(len(values))])
            for term, value in zip(tree.terms, values, strict=True):
                ctx.set(term, value)
            ctx.set(tree.carries, bits)
            sums.append(sum(values) + carries * bits.bit_count())
            # One set of terms a cycle; each sum comes as many cycles later as there are levels.
            if len(sums) > levels:
                assert ctx.get(tree.sum) == sums[-1 - levels]
            await ctx.tick()

    simulate(tree, testbench)
