"""One SRAM of a core with several clients, who take turns at each of its banks."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import ADDRESS_BITS, check_whole
from backspike.hw.memory.port import ReadPort, WritePort
from backspike.hw.memory.sram import Sram

__all__ = ["SharedSram"]


class SharedSram(EmitOnce):
    """An SRAM behind as many ports as it has clients.

    Word ``a`` lies in bank ``a // (words / banks)``, and each bank takes one read and one write a
    cycle: clients that keep to different parts of the memory never meet. Of those that want the
    same bank, the one that was served there the longest ago goes first, reads and writes apart. A
    client that keeps asking is served after at most one access of each other client, and a bank is
    idle only when nobody wants it.

    Latency of a read is one cycle from the access. A read of the address written in the same cycle
    returns the word as it was before; contents are zero at power-up.

    Parameters
    ----------
    words : int
        Words over all banks, from 2 to 2**16; what an access beyond them does is undefined.
    width, granules : int
        As of :class:`backspike.hw.memory.sram.Sram`.
    banks : int
        A power of two, less than or equal to ``words``.
    tap : bool
        Whether the contents can be followed: there is one write a cycle then, whatever the bank.
    reads, writes : int
        Clients that read, and clients that write; at least one of each.

    Members
    -------
    reads : In(ReadPort) x reads, writes : In(WritePort) x writes
        ``ready`` depends on the address of its client and on what the others ask for, and on
        nothing else that clients drive; it is always high for a client that is alone.
    stored_en, stored_addr, stored_data : Out
        The write that takes place in this cycle (:class:`backspike.hw.memory.nonzero.NonzeroMap`
        wants to know). Only with ``tap``.

    Raises
    ------
    ValueError
        If a size is out of its range.
    """

    _width = Parameter[int]()
    _granules = Parameter[int]()
    _banks = Parameter[int]()
    _tap = Parameter[int](default=0)

    def __init__(
        self,
        *,
        words: int,
        width: int,
        granules: int = 1,
        banks: int = 1,
        tap: bool = False,
        reads: int = 1,
        writes: int = 1,
    ):
        check_whole("SharedSram words", words, 2, 1 << ADDRESS_BITS)
        check_whole("SharedSram width", width, 1)
        check_whole("SharedSram banks", banks, 1, words)
        check_whole("SharedSram reads", reads, 1)
        check_whole("SharedSram writes", writes, 1)
        if banks & (banks - 1):
            raise ValueError(f"SharedSram banks must be a power of two, not {banks!r}")
        if width % check_whole("SharedSram granules", granules, 1):
            raise ValueError(f"SharedSram granules must divide the width {width}, not {granules!r}")
        self._depth = max(2, -(-words // banks))
        self._bank_bits = ceil_log2(banks)
        self._row_bits = ceil_log2(self._depth)
        stored = {
            "stored_en": Out(1),
            "stored_addr": Out(ADDRESS_BITS),
            "stored_data": Out(width),
        }
        super().__init__(
            {
                "reads": In(ReadPort(width=width)).array(reads),
                "writes": In(WritePort(width=width, granules=granules)).array(writes),
                **(stored if tap else {}),
            },
            words=words,
            width=width,
            granules=granules,
            banks=banks,
            **({"tap": 1} if tap else {}),
            reads=reads,
            writes=writes,
        )

    def elaborate(self, platform):
        m = Module()
        # Not before: an instance of a module has none, and Amaranth warns of what is never used.
        banks = [
            Sram(depth=self._depth, width=self._width, granules=self._granules)
            for _ in range(self._banks)
        ]
        for number, bank in enumerate(banks):
            m.submodules[f"bank_{number}"] = bank
        self._share(m, [bank.read for bank in banks], self.reads, "read", ())
        self._return_data(m, [bank.read.data for bank in banks])
        writes = [bank.write for bank in banks]
        if self._tap:
            write = WritePort(width=self._width, granules=self._granules).create(path=("write",))
            m.d.comb += [
                self.stored_en.eq(write.en),
                self.stored_addr.eq(write.addr),
                self.stored_data.eq(write.data),
            ]
            here, row = self._place(write.addr)
            for number, port in enumerate(writes):
                m.d.comb += [
                    port.en.eq(write.en & (here == number)),
                    port.addr.eq(row),
                    port.data.eq(write.data),
                    port.mask.eq(write.mask),
                ]
            writes = [write]
        self._share(m, writes, self.writes, "write", ("data", "mask"))
        return m

    def _place(self, addr) -> tuple:
        """Bank of a word, and its row there."""
        number, row = [], addr[: self._bank_bits + self._row_bits]
        for bit in reversed(range(self._bank_bits)):
            behind = row >= self._depth << bit
            row = Mux(behind, row - (self._depth << bit), row)
            number.insert(0, behind)
        return Cat(number), row[: self._row_bits]

    def _share(self, m: Module, ports, clients, access: str, payload: tuple[str, ...]) -> None:
        """Gives each of ``ports`` the access of the client whose turn it is.

        One port takes words of all banks; several are one for each bank.
        """
        several = len(ports) > 1
        places = [self._place(client.addr) if several else (0, client.addr) for client in clients]
        words = [
            Cat(row, *(getattr(client, name) for name in payload))
            for (_, row), client in zip(places, clients, strict=True)
        ]
        may = []
        for number, port in enumerate(ports):
            name = f"{access}_{number}"
            asks = [
                client.en & (bank == number) if several else client.en
                for (bank, _), client in zip(places, clients, strict=True)
            ]
            turns = _turns(m, asks, name)
            served = [ask & turn for ask, turn in zip(asks, turns, strict=True)]
            m.d.comb += [
                port.en.eq(Cat(asks).any()),
                Cat(port.addr[: len(places[0][1])], *(getattr(port, part) for part in payload)).eq(
                    _select(m, _number(served), words, f"{name}_word")
                ),
            ]
            may.append(turns)
        for number, ((bank, _), client) in enumerate(zip(places, clients, strict=True)):
            banks = [turns[number] for turns in may]
            ready = _select(m, bank, banks, f"{access}_ready_{number}")
            m.d.comb += client.ready.eq(ready)

    def _return_data(self, m: Module, words) -> None:
        """Gives each reader the word of the bank that it has read from."""
        for number, client in enumerate(self.reads):
            source = Signal(self._bank_bits, name=f"read_from_{number}")
            if self._bank_bits:
                with m.If(client.en):
                    m.d.sync += source.eq(self._place(client.addr)[0])
            m.d.comb += client.data.eq(_select(m, source, words, f"read_data_{number}"))


def _turns(m: Module, asks, name: str) -> list:
    """Whether a client may go now: nobody asks who goes before it. Of those asking, one may.

    Who goes before whom is a bit for each pair of clients; together they are always an order.
    """
    clients = range(len(asks))
    if len(asks) == 1:
        return [Const(1)]
    earlier = {
        (a, b): Signal(init=1, name=f"{name}_{a}_before_{b}")
        for a in clients
        for b in clients
        if a < b
    }
    turns = []
    for client in clients:
        others = [other for other in clients if other != client]
        goes_before = [
            earlier[other, client] if other < client else ~earlier[client, other]
            for other in others
        ]
        turn = Signal(name=f"{name}_turn_{client}")
        m.d.comb += turn.eq(
            ~Cat(
                asks[other] & before for other, before in zip(others, goes_before, strict=True)
            ).any()
        )
        # Who is served goes after all others from now on.
        with m.If(asks[client] & turn):
            for other in others:
                pair = (min(client, other), max(client, other))
                m.d.sync += earlier[pair].eq(other < client)
        turns.append(turn)
    return turns


def _number(served) -> Cat:
    """One-hot to binary: a multiplexer of four words then is one LUT a bit."""
    return Cat(
        Cat(one for number, one in enumerate(served) if number >> bit & 1).any()
        for bit in range(ceil_log2(len(served)))
    )


def _select(m: Module, number, values, name: str):
    """The one of ``values`` with that number, and the last of them for any number beyond."""
    if len(values) == 1:
        return values[0]
    chosen = Signal(len(values[0]), name=name)
    with m.Switch(number):
        for at, value in enumerate(values[:-1]):
            with m.Case(at):
                m.d.comb += chosen.eq(value)
        with m.Default():
            m.d.comb += chosen.eq(values[-1])
    return chosen
