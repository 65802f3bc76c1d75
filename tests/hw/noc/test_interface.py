"""Without these, a network interface could lose words, or answer for what has not come about."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth import Module

from backspike.hw.isa.table import BOX_MESSAGES
from backspike.hw.noc.packet import Head, Kind
from backspike.hw.noc.receive import Receiver
from backspike.hw.noc.send import Sender
from backspike.hw.noc.table import ConnectionTable
from tests.hw.channels import give, take
from tests.hw.ports import write_memory
from tests.hw.simulation import pause, pulse, simulate

SEED = 2207
FLIT_BITS = 64
WINDOW = 3
ROUTES = ((64, 0), (256, 2), (16, 5), (128, 7))
"""Bits of a word and SRAM of each route: as wide as a flit, wider, and narrower."""
SRAMS = tuple((number, f"sram_{number}", width, 1) for width, number in ROUTES)
PACKET_WORDS = 2
HERE, THERE = {"x": 3, "y": 1, "port": 0}, {"x": 12, "y": 9, "port": 1}
HEAD_LAYOUT = Head.as_shape()


SETTLED = 2e-7
"""Of a cycle of 1e-6: all that is driven in it is driven by then."""


class _Network:
    """A sender, a receiver, and what is between them: each flit waits as long as chance will."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.sender = Sender(routes=ROUTES, flit_bits=FLIT_BITS, window=WINDOW)
        self.receiver = Receiver(srams=SRAMS, flit_bits=FLIT_BITS)
        self.module = Module()
        self.module.submodules.sender = self.sender
        self.module.submodules.receiver = self.receiver
        self.heads: list = []
        self.on_their_way: list = []
        self.writes: list[tuple[int, int, int]] = []
        self.boxes = [0] * 8
        self.under_way = self.most = self.refusals = 0

    @property
    def background(self):
        """All that goes on beside a program."""
        ports = {number: getattr(self.receiver, f"{name}_write") for number, name, *_ in SRAMS}
        memories = (self.memory(number, port) for number, port in ports.items())
        return *memories, self.mailboxes, self.requests, self.replies, self.answers

    async def requests(self, ctx):
        """Flits from the sender to the receiver, and a look at each head."""
        ctx.set(self.sender.here, HERE)
        ctx.set(self.sender.there, THERE)
        sender, receiver = self.sender.o, self.receiver.i
        head = True
        while True:
            await pause(ctx, self.random, 0.3)
            (flit,) = await take(ctx, sender, "payload")
            if head:
                self.heads.append(HEAD_LAYOUT.from_bits(flit.payload & (1 << HEAD_LAYOUT.size) - 1))
                self.under_way += 1
                self.most = max(self.most, self.under_way)
            head = bool(flit.last)
            await pause(ctx, self.random, 0.3)
            await give(ctx, receiver, payload=flit)

    async def replies(self, ctx):
        """Takes replies."""
        while True:
            self.on_their_way += await take(ctx, self.receiver.o, "payload")

    async def answers(self, ctx):
        """Gives them to the sender, after any time."""
        while True:
            await pause(ctx, self.random, 0.97)
            if self.on_their_way:
                reply = self.on_their_way.pop(0)
                assert {name: getattr(reply.destination, name) for name in HERE} == HERE
                self.under_way -= 1
                self.refusals += reply.full
                await give(ctx, self.sender.i, payload=reply)

    def memory(self, number: int, port):
        """What takes the words for one SRAM, when it likes."""

        def put(address, word, _):
            self.writes.append((number, address, word))

        return write_memory(port, put, ready=lambda: self.random.random() < 0.6)

    async def mailboxes(self, ctx):
        """Takes messages; empties boxes from time to time."""
        while True:
            levels = [level == BOX_MESSAGES for level in self.boxes]
            ctx.set(self.receiver.full, sum(full << box for box, full in enumerate(levels)))
            others = 0 if self.random.random() < 0.5 else int(self.random.integers(256))
            ctx.set(self.receiver.messages, others)
            await ctx.delay(SETTLED)
            signal = ctx.get(self.receiver.signal)
            assert not signal & others
            for box in range(8):
                self.boxes[box] += signal >> box & 1
                assert self.boxes[box] <= BOX_MESSAGES
            await ctx.tick()


def test_words_and_messages_arrive():
    print(f"{SEED=}")
    network = _Network(SEED)
    random, sender = network.random, network.sender
    expected = []

    async def send_words(ctx, route: int, words: int) -> None:
        width, sram = ROUTES[route]
        address = int(random.integers(1 << 16))
        for number in range(words):
            word = int.from_bytes(random.bytes(width // 8), "little")
            at = (address + number) % (1 << 16)
            expected.append((sram, at, word))
            last = number % PACKET_WORDS == PACKET_WORDS - 1 or number == words - 1
            payload = {
                "data": word,
                "route": route,
                "address": at,
                "first": number % PACKET_WORDS == 0,
                "last": last,
            }
            await give(ctx, sender.words, payload=payload)
            await pause(ctx, random, 0.1)

    async def wait(ctx):
        while ctx.get(sender.pending):
            await ctx.tick()

    async def program(ctx):
        messages = [0] * 8
        for case in range(40):
            ctx.set(sender.tag_id, case)
            if random.random() < 0.5:
                route, words = int(random.integers(len(ROUTES))), int(random.integers(1, 17))
                await send_words(ctx, route, words)
                await wait(ctx)
                # It is done when all is written.
                assert network.writes == expected
                continue
            box = int(random.integers(2))
            ctx.set(sender.kind, Kind.SIGNAL)
            ctx.set(sender.box, box)
            await pulse(ctx, sender.asks)
            messages[box] += 1
            await wait(ctx)
            assert network.boxes == messages
        assert network.most == WINDOW
        assert not network.under_way
        for head in network.heads:
            assert {name: getattr(head.destination, name) for name in THERE} == THERE
            assert {name: getattr(head.source, name) for name in HERE} == HERE
        assert network.heads[-1].tag_id == 39

    simulate(network.module, program, background=network.background, limit=40_000)


def test_full_box_is_tried_again():
    network = _Network(SEED + 1)
    sender = network.sender

    async def program(ctx):
        network.boxes[4] = BOX_MESSAGES
        ctx.set(sender.box, 4)
        ctx.set(sender.kind, Kind.SIGNAL)
        for gives_up in (False, True):
            await pulse(ctx, sender.asks)
            refusals = network.refusals
            while network.refusals < refusals + 3:
                assert ctx.get(sender.pending)
                await ctx.tick()
            if gives_up:
                ctx.set(sender.give_up, 1)
            else:
                network.boxes[4] -= 1
            while ctx.get(sender.pending):
                await ctx.tick()
            assert network.boxes[4] == BOX_MESSAGES
        assert not network.under_way

    simulate(network.module, program, background=network.background, limit=5000)


@pytest.mark.parametrize(
    ("kind", "statuses", "received"),
    [(Kind.SIGNAL, 1, False), (Kind.COLLECT, 0, False), (Kind.COLLECT, 1, True)],
)
def test_statuses_come_with_a_message(kind, statuses, received):
    receiver = Receiver(srams=SRAMS, flit_bits=FLIT_BITS)

    async def testbench(ctx):
        head = HEAD_LAYOUT.const({"kind": kind, "found": statuses, "box": 6})
        ctx.set(receiver.i.payload, {"payload": head.as_value().value, "last": 1})
        ctx.set(receiver.i.valid, 1)
        ctx.set(receiver.full, 1 << 6)
        await ctx.delay(SETTLED)
        # Not before there is room for the message, which is then sent again.
        assert (ctx.get(receiver.signal), ctx.get(receiver.found)) == (0, 0)
        ctx.set(receiver.full, 0)
        await ctx.delay(SETTLED)
        assert (ctx.get(receiver.signal), bool(ctx.get(receiver.found))) == (1 << 6, received)

    simulate(receiver, testbench)


def test_table_of_connections():
    table = ConnectionTable(connections=8)
    ends = {0: (0, 0, 1), 3: (4, 2, 0), 4: (5, 2, 0), 5: (4, 3, 1), 7: (15, 15, 1)}

    async def testbench(ctx):
        ctx.set(table.extent, {"columns": 5, "rows": 3})

        async def write(tag, x, y, port, valid=1):
            there = {"x": x, "y": y, "port": port}
            ctx.set(table.entry, {"tag_id": tag, "there": there, "valid": valid})
            await pulse(ctx, table.write)

        for tag, end in ends.items():
            await write(tag, *end)
        await write(11, 1, 1, 0)  # has no place, and must not go to that of tag 3
        found = {}
        for tag in range(256):
            ctx.set(table.tag_id, tag)
            await ctx.delay(SETTLED)
            if ctx.get(table.connected):
                there = ctx.get(table.there)
                found[tag] = (there.x, there.y, there.port)
        # Those of tags 4, 5 and 7 are not in a mesh of 5 x 3.
        assert found == {0: ends[0], 3: ends[3]}
        await write(3, 4, 2, 0, valid=0)
        ctx.set(table.tag_id, 3)
        await ctx.delay(SETTLED)
        assert not ctx.get(table.connected)

    simulate(table, testbench)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Sender(routes=ROUTES, flit_bits=32, window=1),
            "Sender flit_bits must be a whole number of at least 51, not 32",
        ),
        (
            lambda: Sender(routes=ROUTES, flit_bits=64, window=0),
            "Sender window must be a whole number of at least 1, not 0",
        ),
        (
            lambda: Receiver(srams=SRAMS, flit_bits=32),
            "Receiver flit_bits must be a whole number of at least 51, not 32",
        ),
        (
            lambda: ConnectionTable(connections=12),
            "ConnectionTable connections must be a power of two, not 12",
        ),
        (
            lambda: ConnectionTable(connections=512),
            "ConnectionTable connections must be a whole number from 1 to 256, not 512",
        ),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()
