"""Several masters on one AXI4 bus."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Signal
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.component import EmitOnce
from hw.dma.axi import INCREMENT, AxiRead, AxiWrite
from hw.limits import check_whole

__all__ = ["AxiReadArbiter", "AxiWriteArbiter"]

ORDERS = 8
"""Bursts that may wait for their data in a write arbiter."""


class AxiReadArbiter(EmitOnce):
    """Read-only masters that share a bus.

    Addresses go in turn (round robin), one a cycle, with a latency of one cycle. Data come back
    without one, to the master whose number the id carries; those of different masters may come
    mixed.

    Parameters
    ----------
    clients : int
        Masters, from 2.
    data_bits, id_bits : int
        Of the masters' signatures; the bus has as many more bits of id as tell the masters apart.

    Members
    -------
    clients : In(AxiRead) x clients
    bus : Out(AxiRead)
        The master's number is the upper part of an id.

    Raises
    ------
    ValueError
        If there are less than two masters.
    """

    def __init__(self, *, clients: int, data_bits: int, id_bits: int = 0):
        check_whole("clients", clients, 2)
        self._size = exact_log2(data_bits // 8)
        super().__init__(
            {
                "clients": In(AxiRead(data_bits=data_bits, id_bits=id_bits)).array(clients),
                "bus": Out(AxiRead(data_bits=data_bits, id_bits=id_bits + ceil_log2(clients))),
            },
            clients=clients,
            data_bits=data_bits,
            id_bits=id_bits,
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        _addresses(m, bus, self.clients, "ar", self._size, may=1)
        number = bus.rid[-ceil_log2(len(self.clients)) :]
        m.d.comb += bus.rready.eq(Array(client.rready for client in self.clients)[number])
        for at, client in enumerate(self.clients):
            _answer(m, client, bus, "r", at == number)
            m.d.comb += [client.rdata.eq(bus.rdata), client.rlast.eq(bus.rlast)]
        return m


class AxiWriteArbiter(EmitOnce):
    """Write-only masters that share a bus.

    Addresses go in turn (round robin), one a cycle, with a latency of one cycle; data follow in the
    same order, without one. Responses go to the master whose number the id carries.

    A master whose address was taken keeps the data of all others waiting until it has given its
    own: it must not wait for another master, nor for responses, before it gives them.

    Parameters
    ----------
    clients : int
        Masters, from 2.
    data_bits, id_bits : int
        Of the masters' signatures; the bus has as many more bits of id as tell the masters apart.

    Members
    -------
    clients : In(AxiWrite) x clients
    bus : Out(AxiWrite)
        The master's number is the upper part of an id.

    Raises
    ------
    ValueError
        If there are less than two masters.
    """

    def __init__(self, *, clients: int, data_bits: int, id_bits: int = 0):
        check_whole("clients", clients, 2)
        self._size = exact_log2(data_bits // 8)
        super().__init__(
            {
                "clients": In(AxiWrite(data_bits=data_bits, id_bits=id_bits)).array(clients),
                "bus": Out(AxiWrite(data_bits=data_bits, id_bits=id_bits + ceil_log2(clients))),
            },
            clients=clients,
            data_bits=data_bits,
            id_bits=id_bits,
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        number_bits = ceil_log2(len(self.clients))
        m.submodules.order = order = SyncFIFO(width=number_bits, depth=ORDERS)
        taken, number = _addresses(m, bus, self.clients, "aw", self._size, may=order.w_rdy)
        turn = Signal(number_bits)
        clients = Array(self.clients)
        m.d.comb += [
            order.w_en.eq(taken),
            order.w_data.eq(number),
            order.r_en.eq(bus.wvalid & bus.wready & bus.wlast),
            turn.eq(order.r_data),
            bus.wvalid.eq(order.r_rdy & clients[turn].wvalid),
            bus.wdata.eq(clients[turn].wdata),
            bus.wstrb.eq(clients[turn].wstrb),
            bus.wlast.eq(clients[turn].wlast),
        ]
        answered = bus.bid[-number_bits:]
        m.d.comb += bus.bready.eq(clients[answered].bready)
        for at, client in enumerate(self.clients):
            _answer(m, client, bus, "b", at == answered)
            m.d.comb += client.wready.eq(order.r_rdy & (turn == at) & bus.wready)
        return m


def _addresses(m: Module, bus, clients, channel: str, size: int, may):
    """The channel ``ar`` or ``aw``: a register, filled by the clients in turn while they may.

    Returns whether it is filled in this cycle, and the number of the client it is filled by.
    """

    def of(port, name: str):
        return getattr(port, f"{channel}{name}")

    numbers = range(len(clients))
    valid = Cat(of(client, "valid") for client in clients)
    free, taken = Signal(), Signal()
    number, latest = Signal(ceil_log2(len(clients))), Signal(ceil_log2(len(clients)))
    with m.Switch(latest):
        for before in numbers:
            with m.Case(before):
                # The last statement that applies counts: the client next to the latest one.
                for step in reversed(numbers):
                    at = (before + 1 + step) % len(clients)
                    with m.If(valid[at]):
                        m.d.comb += number.eq(at)
    m.d.comb += [
        free.eq(may & (~of(bus, "valid") | of(bus, "ready"))),
        taken.eq(free & valid.any()),
    ]
    for at, client in enumerate(clients):
        m.d.comb += of(client, "ready").eq(free & (number == at) & of(client, "valid"))
    with m.If(taken):
        chosen = Array(clients)[number]
        own = of(chosen, "id") if hasattr(clients[0], f"{channel}id") else Cat()
        m.d.sync += [
            latest.eq(number),
            of(bus, "valid").eq(1),
            of(bus, "id").eq(Cat(own, number)),
            of(bus, "addr").eq(of(chosen, "addr")),
            of(bus, "len").eq(of(chosen, "len")),
        ]
    with m.Elif(of(bus, "ready")):
        m.d.sync += of(bus, "valid").eq(0)
    m.d.comb += [of(bus, "size").eq(size), of(bus, "burst").eq(INCREMENT)]
    return taken, number


def _answer(m: Module, client, bus, channel: str, mine) -> None:
    """Gives the client what it is to see of the channel ``r`` or ``b``."""
    m.d.comb += [
        getattr(client, f"{channel}valid").eq(mine & getattr(bus, f"{channel}valid")),
        getattr(client, f"{channel}resp").eq(getattr(bus, f"{channel}resp")),
    ]
    if hasattr(client, f"{channel}id"):
        number = getattr(client, f"{channel}id")
        m.d.comb += number.eq(getattr(bus, f"{channel}id")[: len(number)])
