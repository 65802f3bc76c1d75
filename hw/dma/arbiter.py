"""Several masters on one AXI4 bus."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Module, Signal
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from backspike.hw.component import EmitOnce
from backspike.hw.dma.axi import INCREMENT, AxiRead, AxiWrite
from backspike.hw.limits import check_whole

__all__ = ["AxiReadArbiter", "AxiWriteArbiter"]

ORDERS = 8
"""Bursts that may wait for their data in a write arbiter."""


class _AxiArbiter(EmitOnce):
    """Masters that share a bus.

    Addresses go in turn (round robin), one a cycle, with a latency of one cycle. Answers go,
    without one, to the master whose number the id carries; those for different masters may come
    mixed.

    Parameters
    ----------
    clients : int
        Masters, from 2.
    data_bits, id_bits : int
        Of the masters' signatures; the bus has as many more bits of id as tell the masters apart.

    Members
    -------
    clients : In(port) x clients
    bus : Out(port)
        The master's number is the upper part of an id.

    Raises
    ------
    ValueError
        If there are less than two masters.
    """

    port: Any
    """The signature, of masters and bus."""

    def __init__(self, *, clients: int, data_bits: int, id_bits: int = 0):
        check_whole("clients", clients, 2)
        self._size = exact_log2(data_bits // 8)
        self._number_bits = ceil_log2(clients)
        super().__init__(
            {
                "clients": In(self.port(data_bits=data_bits, id_bits=id_bits)).array(clients),
                "bus": Out(self.port(data_bits=data_bits, id_bits=id_bits + self._number_bits)),
            },
            clients=clients,
            data_bits=data_bits,
            id_bits=id_bits,
        )

    def _addresses(self, m: Module, channel: str, may):
        """The channel ``ar`` or ``aw``: a register, filled by the clients in turn while they may.

        Returns whether it is filled in this cycle, and the number of the client it is filled by.
        """
        clients, bus, of = self.clients, self.bus, _signals(channel)
        numbers = range(len(clients))
        valid = Cat(of(client, "valid") for client in clients)
        free, taken = Signal(), Signal()
        number, latest = Signal(self._number_bits), Signal(self._number_bits)
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
        m.d.comb += [of(bus, "size").eq(self._size), of(bus, "burst").eq(INCREMENT)]
        return taken, number

    def _answers(self, m: Module, channel: str):
        """Goes through the clients: yields each with its number, and whatever answer is for it.

        That is what the channel ``r`` or ``b`` holds, but for data.
        """
        bus, of = self.bus, _signals(channel)
        number = of(bus, "id")[-self._number_bits :]
        m.d.comb += of(bus, "ready").eq(of(Array(self.clients)[number], "ready"))
        for at, client in enumerate(self.clients):
            m.d.comb += [
                of(client, "valid").eq((at == number) & of(bus, "valid")),
                of(client, "resp").eq(of(bus, "resp")),
            ]
            if hasattr(client, f"{channel}id"):
                own = of(client, "id")
                m.d.comb += own.eq(of(bus, "id")[: len(own)])
            yield at, client


class AxiReadArbiter(_AxiArbiter):
    """Read-only masters that share a bus; data are part of the answers."""

    port = AxiRead

    def elaborate(self, platform):
        m = Module()
        self._addresses(m, "ar", may=1)
        for _, client in self._answers(m, "r"):
            m.d.comb += [client.rdata.eq(self.bus.rdata), client.rlast.eq(self.bus.rlast)]
        return m


class AxiWriteArbiter(_AxiArbiter):
    """Write-only masters that share a bus; data follow in the order of addresses, without latency.

    A master whose address was taken keeps the data of all others waiting until it has given its
    own: it must not wait for another master, nor for responses, before it gives them.
    """

    port = AxiWrite

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        m.submodules.order = order = SyncFIFO(width=self._number_bits, depth=ORDERS)
        taken, number = self._addresses(m, "aw", may=order.w_rdy)
        turn = Signal(self._number_bits)
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
        for at, client in self._answers(m, "b"):
            m.d.comb += client.wready.eq(order.r_rdy & (turn == at) & bus.wready)
        return m


def _signals(channel: str):
    """What finds a signal of a channel in a port, by its name without the channel's."""
    return lambda port, name: getattr(port, f"{channel}{name}")
