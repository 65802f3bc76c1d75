"""Without these, clients of an SRAM could get each other's words, wait for ever, or idle it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from backspike.hw.emit import emit
from backspike.hw.memory.shared import SharedSram
from tests.hw.simulation import simulate

WIDTH, GRANULES = 8, 2
CYCLES = 80
"""Of each kind of traffic."""
SIZES = [
    # words, banks, tap, reads, writes
    (16, 1, False, 1, 1),
    (9, 2, False, 1, 1),
    (13, 1, True, 2, 3),
    (13, 1, False, 4, 2),
    (64, 2, False, 3, 3),
    (13, 2, True, 2, 4),
    (32, 4, False, 4, 4),
    (19, 4, False, 3, 1),
    (2, 2, False, 2, 2),
    (16, 2, True, 3, 2),
    (22, 2, True, 2, 3),
    (24, 4, True, 1, 1),
]


@dataclass
class Client:
    """What one client asks for, and how long it has."""

    port: object
    asks: bool = False
    addr: int = 0
    data: int = 0
    mask: int = 0
    served_others: Counter = field(default_factory=Counter)
    """Accesses of each other client to the same bank since it began to ask."""


class Traffic:
    """Random clients of an SRAM, and what it should hold."""

    def __init__(self, sram: SharedSram, words: int, banks: int, tap: bool, random):
        self.words, self.tap, self.random = words, tap, random
        self.bank_words = max(2, -(-words // banks))
        self.readers = [Client(port) for port in sram.reads]
        self.writers = [Client(port) for port in sram.writes]
        self.sram = sram
        self.content = [0] * words
        self.expected = [None] * len(self.readers)
        """Words read in the last cycle."""

    async def cycle(self, ctx, asking: float, leaving: float, one_bank: bool) -> None:
        """One cycle, in which clients ask, and give up, with these probabilities."""
        for client in (*self.readers, *self.writers):
            if not client.asks or self.random.random() < leaving:
                self.ask(client, asking, one_bank)
            ctx.set(client.port.en, client.asks)
            ctx.set(client.port.addr, client.addr)
        for client in self.writers:
            ctx.set(client.port.data, client.data)
            ctx.set(client.port.mask, client.mask)
        for client, word in zip(self.readers, self.expected, strict=True):
            assert word is None or ctx.get(client.port.data) == word
        read = self.serve(ctx, self.readers, self.bank)
        written = self.serve(ctx, self.writers, (lambda addr: 0) if self.tap else self.bank)
        self.check_tap(ctx, written)
        self.expected = [
            self.content[client.addr] if client in read else None for client in self.readers
        ]
        for client in written:
            keep = sum(0xF << 4 * part for part in range(GRANULES) if not client.mask >> part & 1)
            old = self.content[client.addr]
            self.content[client.addr] = old & keep | client.data & ~keep
        await ctx.tick()
        for client in (*read, *written):
            client.asks = False

    def ask(self, client: Client, asking: float, one_bank: bool) -> None:
        """Draws what a client wants from now on."""
        client.served_others.clear()
        client.asks = bool(self.random.random() < asking)
        client.addr = int(self.random.integers(self.words))
        if one_bank:
            client.addr %= self.bank_words
        client.data = int(self.random.integers(1 << WIDTH))
        client.mask = int(self.random.integers(1 << GRANULES))

    def bank(self, addr: int) -> int:
        """Where a word lies."""
        return addr // self.bank_words

    def serve(self, ctx, clients: list[Client], bank: Callable[[int], int]) -> list[Client]:
        """Who is served in this cycle: one for each bank that somebody wants."""
        served = [client for client in clients if client.asks and ctx.get(client.port.ready)]
        banks = [bank(client.addr) for client in served]
        wanted = {bank(client.addr) for client in clients if client.asks}
        assert sorted(banks) == sorted(wanted), "a bank must be used, once, if somebody wants it"
        for number, client in enumerate(clients):
            if len(clients) == 1:
                assert ctx.get(client.port.ready)
            ready = ctx.get(client.port.ready)
            ctx.set(client.port.en, not client.asks)
            assert ctx.get(client.port.ready) == ready, "ready must not depend on its own en"
            ctx.set(client.port.en, client.asks)
            if client.asks and client not in served:
                winner = served[banks.index(bank(client.addr))]
                client.served_others[clients.index(winner)] += 1
                assert max(client.served_others.values()) == 1, f"{number} must go before others"
        return served

    def check_tap(self, ctx, written: list[Client]) -> None:
        """What takes place is at the tap, where there is one."""
        if not self.tap:
            return
        assert ctx.get(self.sram.stored_en) == bool(written)
        for client in written:
            assert ctx.get(self.sram.stored_addr) == client.addr
            assert ctx.get(self.sram.stored_data) == client.data


@pytest.mark.parametrize(("words", "banks", "tap", "reads", "writes"), SIZES)
def test_every_client_gets_its_words_in_its_turn(words, banks, tap, reads, writes):
    sram = SharedSram(
        words=words,
        width=WIDTH,
        granules=GRANULES,
        banks=banks,
        tap=tap,
        reads=reads,
        writes=writes,
    )
    seed = words * 64 + reads * 8 + writes
    print(f"{seed=}")
    traffic = Traffic(sram, words, banks, tap, np.random.default_rng(seed))

    async def testbench(ctx):
        for asking, leaving, one_bank in (
            (0.3, 0, False),
            (1, 0, False),
            (1, 0, True),
            (0.7, 0.3, False),
            (0.7, 0.3, True),
        ):
            for _ in range(CYCLES):
                await traffic.cycle(ctx, asking, leaving, one_bank)

    simulate(sram, testbench)


def test_clients_of_different_banks_go_side_by_side():
    sram = SharedSram(words=16, width=8, banks=4, reads=4, writes=4)

    async def testbench(ctx):
        for cycle in range(32):
            for number, client in enumerate((*sram.reads, *sram.writes)):
                ctx.set(client.en, 1)
                ctx.set(client.addr, (cycle + 4 * number) % 16)
            assert all(ctx.get(client.ready) for client in (*sram.reads, *sram.writes))
            await ctx.tick()

    simulate(sram, testbench)


def test_ports_are_emitted_and_the_tap_only_where_it_is_wanted():
    one = emit(SharedSram(words=8, width=8, reads=2, tap=True))
    two = emit(SharedSram(words=8, width=8, banks=2, reads=2))
    tap = {"stored_en", "stored_addr", "stored_data"}
    names = [{port.name for port in made.modules[made.top].ports} for made in (one, two)]
    assert names[0] >= tap and not names[1] & tap
    assert all({"reads__1__addr", "writes__0__mask"} <= found for found in names)
    assert [made.modules[made.top].instances for made in (one, two)] == [
        {"sram_depth8_width8_granules1": 1},
        {"sram_depth4_width8_granules1": 2},
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"words": 1}, "SharedSram words must be a whole number from 2 to 65536, not 1"),
        ({"banks": 3}, "SharedSram banks must be a power of two, not 3"),
        ({"banks": 16}, "SharedSram banks must be a whole number from 1 to 8, not 16"),
        ({"reads": 0}, "SharedSram reads must be a whole number of at least 1, not 0"),
        ({"writes": 0}, "SharedSram writes must be a whole number of at least 1, not 0"),
        ({"width": 0}, "SharedSram width must be a whole number of at least 1, not 0"),
        ({"granules": 0}, "SharedSram granules must be a whole number of at least 1, not 0"),
        ({"granules": 3}, "SharedSram granules must divide the width 8, not 3"),
    ],
)
def test_impossible_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        SharedSram(**{"words": 8, "width": 8, **arguments})
