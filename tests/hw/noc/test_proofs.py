"""Without these, a state that no test comes to could lose a flit, or let a packet wait for ever.

Each claim is proved, and shown to be refuted of hardware that has a fault.
"""

from __future__ import annotations

import pytest
from amaranth import Elaboratable, Module, Signal

from backspike.hw.noc.arbiter import PacketArbiter
from backspike.hw.noc.crossing import Crossing
from backspike.hw.noc.queue import InputQueue
from backspike.hw.noc.route import TURNS, Endpoint, RouterPort
from backspike.hw.noc.router import Router
from tests.hw.noc.claims import ArbiterClaims, CrossingClaims, QueueClaims, RouterClaims
from tests.hw.proof import ToolError, prove

HERE = Endpoint(1, 1, 0)
RIVALS = (RouterPort.NORTH, RouterPort.WEST, RouterPort.FP)
"""One input that goes straight, one that may turn, and a local one: fewer states than with six."""
BOUND = len(RIVALS) + 2
"""Cycles until a flit leaves: two through the router, and one for each input's flit."""


def queue_claims(kind: type[InputQueue] = InputQueue, depth: int = 2) -> QueueClaims:
    outputs = TURNS[RouterPort.FP]
    mask = sum(1 << port for port in outputs)
    return QueueClaims(kind(payload_bits=9, depth=depth, outputs=mask), outputs=outputs)


def crossing_claims(kind: type[Crossing] = Crossing) -> CrossingClaims:
    return CrossingClaims(kind(payload_bits=9, depth=2))


def router_claims(kind: type[Router] = Router, **limits) -> RouterClaims:
    return RouterClaims(kind(payload_bits=12, depth=2), here=HERE, **limits)


class TestArbiter:
    @pytest.mark.parametrize("inputs", [3, 5, 6])
    def test_claims_hold_for_ever(self, inputs):
        claims = ArbiterClaims(PacketArbiter(inputs=inputs))
        assert prove(claims, steps=3, induction=True).holds

    def test_one_grant_too_many_is_found(self):
        class Generous(PacketArbiter):
            def elaborate(self, platform):
                m = super().elaborate(platform)
                m.d.sync += self.grants[0].eq(self.requests[0])
                return m

        assert not prove(ArbiterClaims(Generous(inputs=3)), steps=4).holds

    def test_one_that_starves_is_found(self):
        class Unfair(PacketArbiter):
            def elaborate(self, platform):
                m = super().elaborate(platform)
                m.d.comb += [before.eq(1) for before in self.order.values()]
                return m

        assert not prove(ArbiterClaims(Unfair(inputs=3)), steps=8).holds


class TestQueue:
    def test_claims_hold(self):
        assert prove(queue_claims(), steps=8).holds

    @pytest.mark.slow
    def test_claims_hold_of_a_deeper_one(self):
        assert prove(queue_claims(depth=4), steps=14).holds

    def test_overflow_is_found(self):
        class Greedy(InputQueue):
            def elaborate(self, platform):
                m = super().elaborate(platform)
                m.d.comb += self.i.ready.eq(1)
                return m

        assert not prove(queue_claims(Greedy), steps=6).holds

    def test_a_packet_that_forgets_its_way_is_found(self):
        class Forgetful(InputQueue):
            def elaborate(self, platform):
                m = super().elaborate(platform)
                with m.If(self.pop):
                    m.d.comb += self.wants.eq(0)
                return m

        assert not prove(queue_claims(Forgetful), steps=6).holds


class TestCrossing:
    def test_claims_hold(self):
        assert prove(crossing_claims(), steps=14, any_clocks=True).holds

    @pytest.mark.slow
    def test_claims_hold_for_longer(self):
        assert prove(crossing_claims(), steps=20, any_clocks=True).holds

    def test_overflow_is_found(self):
        class Greedy(Crossing):
            def elaborate(self, platform):
                m = super().elaborate(platform)
                m.d.comb += self.i.ready.eq(1)
                return m

        assert not prove(crossing_claims(Greedy), steps=12, any_clocks=True).holds

    @pytest.mark.parametrize("side", ["i", "o"])
    def test_standing_still_is_found(self, side):
        class Stuck(Crossing):
            def elaborate(self, platform):
                m = super().elaborate(platform)
                stuck = self.i.ready if side == "i" else self.o.valid
                m.d.comb += stuck.eq(0)
                return m

        assert not prove(crossing_claims(Stuck), steps=14, any_clocks=True).holds


class TestRouter:
    def test_claims_hold(self):
        assert prove(router_claims(inputs=RIVALS), steps=4).holds

    @pytest.mark.slow
    def test_claims_hold_of_all_inputs(self):
        assert prove(router_claims(), steps=7).holds

    @pytest.mark.slow
    def test_every_flit_leaves_within_a_bound(self):
        limits = {"inputs": RIVALS, "bound": BOUND}
        assert prove(router_claims(**limits), steps=BOUND + 4).holds
        assert not prove(router_claims(inputs=RIVALS, bound=BOUND - 1), steps=BOUND + 4).holds

    def test_packets_that_mix_are_found(self):
        class Mixing(Router):
            def elaborate(self, platform):
                m = super().elaborate(platform)
                m.d.comb += m.submodules.arbiter_south.ends.eq(1)
                return m

        assert not prove(router_claims(Mixing, inputs=RIVALS), steps=6).holds

    def test_a_wrong_way_is_found(self):
        class Lost(Router):
            def elaborate(self, platform):
                m = super().elaborate(platform)
                m.d.comb += m.submodules.queue_fp.x.eq(0)
                return m

        assert not prove(router_claims(Lost, inputs=RIVALS), steps=4).holds

    def test_a_flit_that_never_leaves_is_found(self):
        class Closed(Router):
            def elaborate(self, platform):
                m = super().elaborate(platform)
                m.d.sync += self.o[RouterPort.SOUTH].valid.eq(0)
                return m

        assert not prove(router_claims(Closed, inputs=(RouterPort.FP,), bound=3), steps=6).holds


def test_without_a_claim_there_is_no_proof():
    class Empty(Elaboratable):
        def elaborate(self, platform):
            m = Module()
            m.d.sync += Signal(name="kept").eq(1)
            return m

    with pytest.raises(ToolError, match="there is nothing to prove"):
        prove(Empty(), steps=3)
