"""The network interface of a sub-core: what stands between its SRAMs and the routers."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.isa.noc.instructions import TAG_BITS
from backspike.hw.isa.table import BOXES, ROUTES, SRAMS, UNITS
from backspike.hw.memory.port import WritePort
from backspike.hw.noc.flit import COORDINATE_BITS
from backspike.hw.noc.packet import SRAM_BITS, Kind, NetworkPort, outgoing_word
from backspike.hw.noc.receive import Receiver
from backspike.hw.noc.send import Sender
from backspike.hw.noc.table import ConnectionTable, ConnectionWrite, MeshSize

__all__ = ["NetworkInterface"]


def _incoming(subcore: str) -> list[str]:
    """SRAMs of a sub-core that words of others may go to."""
    found = (there.split(".") for routes in ROUTES.values() for _, there in routes)
    return sorted({sram for name, sram in found if name == subcore}, key=SRAMS[subcore].index)


class NetworkInterface(EmitOnce):
    """Gives words and messages to the networks, and takes in those of other sub-cores.

    Parameters
    ----------
    config : ChipConfig
    subcore : str
        ``fp`` or ``bp``.

    Members
    -------
    x, y : In(4), extent : In(MeshSize)
        Where the core is in the whole mesh, and how large that is; constant.
    write : In(1), entry : In(ConnectionWrite)
        To the table of connections.
    tag_id : In(8), moves : In(1), route : In(3), connected : Out(1)
        Whether a tag has a connection, for words of a route (``moves``) to a sub-core that takes
        them. The tag is held while anything is under way.
    words, asks, kind, box, found, pending, give_up
        As of :class:`backspike.hw.noc.send.Sender`.
    <sram>_write, signal, full, messages
        As of :class:`backspike.hw.noc.receive.Receiver`.
    received : Out(1)
        Its ``found``.
    network : Out(NetworkPort)
    """

    _config = Parameter[ChipConfig]()
    _subcore = Parameter[str]()

    def __init__(self, *, config: ChipConfig, subcore: str):
        self._widths = [config.srams[there].width for _, there in ROUTES[subcore]]
        sizes = {name: config.srams[f"{subcore}.{name}"] for name in _incoming(subcore)}
        self._srams = tuple(
            (SRAMS[subcore].index(name), name, size.width, size.granules)
            for name, size in sizes.items()
        )
        super().__init__(
            {
                "x": In(COORDINATE_BITS),
                "y": In(COORDINATE_BITS),
                "extent": In(MeshSize),
                "write": In(1),
                "entry": In(ConnectionWrite),
                "tag_id": In(TAG_BITS),
                "moves": In(1),
                "route": In(SRAM_BITS),
                "connected": Out(1),
                "words": In(stream.Signature(outgoing_word(max(self._widths)))),
                "asks": In(1),
                "kind": In(Kind),
                "box": In(ceil_log2(BOXES)),
                "found": In(1),
                "pending": Out(1),
                "give_up": In(1),
                **{
                    f"{name}_write": Out(WritePort(width=width, granules=granules))
                    for _, name, width, granules in self._srams
                },
                "signal": Out(BOXES),
                "full": In(BOXES),
                "messages": In(BOXES),
                "received": Out(1),
                "network": Out(NetworkPort(flit_bits=config.noc.flit_bits)),
            },
            config=config,
            subcore=subcore,
        )

    @property
    def incoming(self) -> tuple[str, ...]:
        """SRAMs that words of other sub-cores go to, each by a member ``<sram>_write``."""
        return tuple(name for _, name, *_ in self._srams)

    def elaborate(self, platform):
        m = Module()
        noc, targets = self._config.noc, [there.split(".") for _, there in ROUTES[self._subcore]]
        m.submodules.table = table = ConnectionTable(connections=noc.connections)
        m.submodules.sender = sender = Sender(
            routes=tuple(
                (width, SRAMS[name].index(sram))
                for width, (name, sram) in zip(self._widths, targets, strict=True)
            ),
            flit_bits=noc.flit_bits,
            window=noc.window_packets,
        )
        m.submodules.receiver = receiver = Receiver(srams=self._srams, flit_bits=noc.flit_bits)
        m.d.comb += [
            table.write.eq(self.write),
            table.entry.eq(self.entry),
            table.extent.eq(self.extent),
            table.tag_id.eq(self.tag_id),
        ]
        with m.Switch(self.route):
            for number, (name, _) in enumerate(targets):
                with m.Case(number):
                    port = table.there.port == list(UNITS).index(name)
                    m.d.comb += self.connected.eq(table.connected & (port | ~self.moves))

        m.d.comb += [
            sender.here.x.eq(self.x),
            sender.here.y.eq(self.y),
            sender.here.port.eq(list(UNITS).index(self._subcore)),
            sender.there.eq(table.there),
            *(
                getattr(sender, name).eq(getattr(self, name))
                for name in ("tag_id", "asks", "kind", "box", "found", "give_up")
            ),
            self.pending.eq(sender.pending),
            self.signal.eq(receiver.signal),
            receiver.full.eq(self.full),
            receiver.messages.eq(self.messages),
            self.received.eq(receiver.found),
        ]
        connect(m, flipped(self.words), sender.words)
        for name in self.incoming:
            port = f"{name}_write"
            connect(m, getattr(receiver, port), flipped(getattr(self, port)))
        network = self.network
        connect(m, sender.o, flipped(network.requests_o))
        connect(m, flipped(network.requests_i), receiver.i)
        # A reply is a packet of one flit.
        m.d.comb += [
            network.replies_o.valid.eq(receiver.o.valid),
            network.replies_o.payload.payload.eq(receiver.o.payload),
            network.replies_o.payload.last.eq(1),
            receiver.o.ready.eq(network.replies_o.ready),
            sender.i.valid.eq(network.replies_i.valid),
            sender.i.payload.eq(network.replies_i.payload.payload),
            network.replies_i.ready.eq(sender.i.ready),
        ]
        return m
