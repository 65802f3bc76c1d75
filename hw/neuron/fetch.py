"""Operands of the element-wise engines: asked for pixel by pixel, handed over all together."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Member, Out, connect, flipped

from backspike.hw.arith.format import Float
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.isa.neuron.command import Operation, Source
from backspike.hw.isa.neuron.kinds import ElementInput, ElementKind, word_bits
from backspike.hw.limits import LANE_BITS
from backspike.hw.memory.port import ReadPort
from backspike.hw.memory.stream import ReadStream
from backspike.hw.neuron.walk import Walk

__all__ = ["Fetch", "vector_uses"]


def vector_uses(settings, source: Source):
    """Whether the vector operation asked for takes ``source``; COMPARE has one operand only."""
    second = (settings.y == source) & (settings.operation != Operation.COMPARE)
    return (settings.operation != Operation.STEP) & ((settings.x == source) | second)


class Fetch(EmitOnce):
    """Walks over a map and reads what each pixel needs, each memory at its own pace.

    Latency from ``start`` to the first ``valid`` is three cycles; throughput is one pixel a cycle.
    What is read by window stays at the output for all pixels of its window.

    Parameters
    ----------
    kind : ElementKind
    format, lanes, pixels
        As of :class:`backspike.hw.neuron.element.ElementEngine`.

    Members
    -------
    start : In(1), command : In(struct)
        Held until no longer ``active``.
    active : Out(1)
        Pixels are still to be asked for.
    valid : Out(1), take : In(1)
        All operands of a pixel are there; they go with ``take``, allowed while valid.
    <source> : Out(word)
        Operands: conv, u, (du), and bits (those of the pixel; 0 if not needed).
    opens, closes, whole : Out(1)
        As of :class:`backspike.hw.neuron.walk.Walk`.
    lanes_used : Out(LANE_BITS)
        Lanes that stand for a channel.
    <memory>_read : Out(ReadPort)
    """

    _kind = Parameter[ElementKind]()
    _lanes = Parameter[int]()
    _pixels = Parameter[int]()

    def __init__(self, *, kind: ElementKind, format: Float, lanes: int, pixels: int):
        ports = self.ports(kind=kind, format=format, lanes=lanes, pixels=pixels)
        members: dict[str, Member] = {}
        for operand, (name, port) in zip(kind.operands, ports.items(), strict=True):
            width = lanes if operand.source is Source.BITS else port.signature.members["data"].shape
            members[operand.source.name.lower()] = Out(width)
            members[name] = port
        super().__init__(
            {
                "start": In(1),
                "command": In(kind.command),
                "active": Out(1),
                "valid": Out(1),
                "take": In(1),
                "opens": Out(1),
                "closes": Out(1),
                "whole": Out(1),
                "lanes_used": Out(LANE_BITS),
                **members,
            },
            kind=kind,
            format=format,
            lanes=lanes,
            pixels=pixels,
        )

    @staticmethod
    def ports(*, kind: ElementKind, format: Float, lanes: int, pixels: int) -> dict[str, Member]:
        """The members to memories, one for each operand of ``kind``."""
        return {
            f"{operand.memory}_read": Out(
                ReadPort(width=word_bits(operand.source, format=format, lanes=lanes, pixels=pixels))
            )
            for operand in kind.operands
        }

    def elaborate(self, platform):
        m = Module()
        kind, extent = self._kind, self.command.extent
        plain = kind.word_operands
        m.submodules.walk = walk = Walk(words=len(plain), bit_maps=1, pixels=self._pixels)
        m.d.comb += [
            walk.start.eq(self.start),
            walk.extent.eq(extent),
            self.active.eq(walk.active),
            walk.bits[0].eq(getattr(self.command, f"{kind.bit_operand.memory}_read")),
        ]
        addresses = {kind.bit_operand: walk.bit_addr[0]}
        for number, operand in enumerate(plain):
            m.d.comb += walk.words[number].eq(getattr(self.command, f"{operand.memory}_read"))
            addresses[operand] = walk.word_addr[number]

        tags = {
            # The stream of u has an entry for every pixel, read or not: it brings the flags.
            Source.U: Cat(
                walk.opens,
                walk.closes,
                walk.whole,
                Mux(walk.last_tile, extent.last_lanes, self._lanes)[:LANE_BITS],
            ),
            Source.BITS: walk.bit_pixel[0],
        }
        asked, present = zip(
            *(
                self._operand(m, walk, operand, addresses[operand], tags.get(operand.source))
                for operand in kind.operands
            ),
            strict=True,
        )
        m.d.comb += [
            walk.step.eq(walk.active & reduce(and_, asked)),
            self.valid.eq(reduce(and_, present)),
        ]
        return m

    def _needed(self, operand: ElementInput):
        """Whether the pass takes ``operand`` at all."""
        settings = self.command.settings
        in_step = {
            "always": 1,
            "t_acc": settings.t_acc,
            "pooling": self.command.extent.pooling != 1,
        }
        step = settings.operation == Operation.STEP
        return step & in_step[operand.in_step] | vector_uses(settings, operand.source)

    def _operand(self, m: Module, walk: Walk, operand: ElementInput, address, tag):
        """Reads one operand, beside whose words ``tag`` goes if it is not None.

        Returns whether the pixel of the walk has been asked for, and whether that of the output is
        there.
        """
        memory, source = operand.memory, operand.source
        port = getattr(self, f"{memory}_read")
        stream = ReadStream(width=len(port.data), tag_bits=0 if tag is None else len(tag))
        m.submodules[memory] = stream
        if tag is not None:
            m.d.comb += stream.i_tag.eq(tag)
        connect(m, stream.port, flipped(port))
        needed = Signal(name=f"{memory}_needed")
        wanted = Signal(name=f"{memory}_wanted")
        awaited = Signal(name=f"{memory}_awaited")
        last_use = Signal(name=f"{memory}_last_use")
        sent = Signal(name=f"{memory}_sent")
        m.d.comb += needed.eq(self._needed(operand))
        if source is Source.U:
            flags = Cat(self.opens, self.closes, self.whole, self.lanes_used)
            m.d.comb += [wanted.eq(1), awaited.eq(1), last_use.eq(1), flags.eq(stream.o_tag)]
        elif operand.by_window:
            m.d.comb += [
                wanted.eq(needed & walk.opens & walk.whole),
                awaited.eq(needed & self.whole),
                last_use.eq(self.closes),
            ]
        else:
            m.d.comb += [wanted.eq(needed), awaited.eq(needed), last_use.eq(1)]
        m.d.comb += [
            stream.i_addr.eq(address),
            stream.i_read.eq(needed),
            stream.i_valid.eq(walk.active & wanted & ~sent),
            stream.o_ready.eq(self.take & awaited & last_use),
        ]
        m.d.sync += sent.eq(~walk.step & (sent | (stream.i_valid & stream.i_ready)))
        word = getattr(self, source.name.lower())
        if source is Source.BITS:
            with m.If(needed):
                m.d.comb += word.eq(stream.o_data.word_select(stream.o_tag, self._lanes))
        else:
            m.d.comb += word.eq(stream.o_data)
        return ~wanted | sent | stream.i_ready, ~awaited | stream.o_valid
