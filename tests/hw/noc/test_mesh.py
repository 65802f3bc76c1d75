"""Without these, routers could be joined the wrong way round, within a chip or between chips."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from backspike.commands.verilog import check_verilog
from backspike.hw.emit import emit
from backspike.hw.noc.flit import flit_layout
from backspike.hw.noc.mesh import RouterMesh
from backspike.hw.noc.route import Endpoint
from tests.hw.noc.flits import PAYLOAD_BITS, Packet, receive, send
from tests.hw.simulation import simulate

SEED = 577215
FLITS = stream.Signature(flit_layout(PAYLOAD_BITS))


class FourChips(Component):
    """Chips of one core each, joined to a mesh of 2 x 2 whose north-western core is not at 0, 0."""

    def __init__(self, *, x0: int, y0: int):
        self.x0, self.y0 = x0, y0
        cores = (2, 2, 2)
        super().__init__({"i": In(FLITS).array(*cores), "o": Out(FLITS).array(*cores)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        chips = {}
        for y, x in product(range(2), range(2)):
            chips[y, x] = chip = RouterMesh(
                rows=1, columns=1, payload_bits=PAYLOAD_BITS, depth=2, credits=5
            )
            m.submodules[f"chip_{y}_{x}"] = chip
            m.d.comb += [chip.x0.eq(self.x0 + x), chip.y0.eq(self.y0 + y)]
            for port in range(2):
                connect(m, flipped(self.i[y][x][port]), chip.i[0][0][port])
                connect(m, chip.o[0][0][port], flipped(self.o[y][x][port]))
        for number in range(2):
            for one, other, side, opposite in (
                (chips[number, 0], chips[number, 1], "east", "west"),
                (chips[0, number], chips[1, number], "south", "north"),
            ):
                for a, b, there, here in (
                    (one, other, side, opposite),
                    (other, one, opposite, side),
                ):
                    connect(m, getattr(a, f"{there}_out")[0], getattr(b, f"{here}_in")[0])
        return m


def all_pairs(unit, rows: int, columns: int, x0: int, y0: int) -> None:
    """Everyone sends a packet to everyone, in an order of its own; all arrive, in order."""
    random = np.random.default_rng(SEED)
    places = list(product(range(columns), range(rows), range(2)))
    benches, takers = [], {}
    for sender, (x, y, port) in enumerate(places):
        packets = [
            Packet(Endpoint(x0 + there[0], y0 + there[1], there[2]), sender, number, 1 + number % 4)
            for number, there in enumerate(map(tuple, random.permutation(places).tolist()))
        ]
        benches.append(send(unit.i[y][x][port], packets, random))
        for packet in packets:
            takers.setdefault(packet.destination, []).append(packet)
    got = {}
    for (x, y, port), packets in takers.items():
        at = unit.o[y - y0][x - x0][port]
        count = sum(packet.length for packet in packets)
        bench, got[x, y, port] = receive(at, count, random, 0.8)
        benches.append(bench)
    simulate(unit, *benches)
    for place, packets in takers.items():
        expected = sorted(tuple(flit.items()) for packet in packets for flit in packet.flits)
        assert sorted(tuple(flit.items()) for flit in got[place]) == expected


def test_mesh():
    unit = RouterMesh(rows=2, columns=3, payload_bits=PAYLOAD_BITS, depth=2)
    all_pairs(unit, 2, 3, 0, 0)


def test_chips_joined_at_their_edges():
    all_pairs(FourChips(x0=9, y0=4), 2, 2, 9, 4)


def test_what_leaves_a_closed_edge_is_lost_and_holds_up_nothing():
    random = np.random.default_rng(SEED)
    unit = RouterMesh(rows=1, columns=1, payload_bits=PAYLOAD_BITS, depth=2)
    away = [Packet(Endpoint(1, 0, 0), 0, number, 5) for number in range(8)]
    home = [Packet(Endpoint(0, 0, 0), 0, 8, 2)]
    taker, got = receive(unit.o[0][0][0], 2, random)
    simulate(unit, send(unit.i[0][0][1], away + home, random), taker)
    assert got == home[0].flits


@pytest.mark.parametrize("credits", [0, 3])
def test_verilog_is_clean(tmp_path, credits):
    network = RouterMesh(rows=2, columns=2, payload_bits=20, depth=4, credits=credits)
    assert check_verilog(emit(network).write(tmp_path / "verilog")) == []
