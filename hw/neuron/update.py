"""Weight update: stochastic gradient descent with momentum on binary32 masters."""

from __future__ import annotations

from typing import Self

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Out, connect, flipped

from backspike.hw.arith.format import BINARY32, Float
from backspike.hw.component import Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.engine import Engine
from backspike.hw.isa.neuron.command import WORDS_BITS, UpdateCommand
from backspike.hw.memory.port import ReadPort, WritePort
from backspike.hw.memory.stream import ReadStream, WriteQueue
from backspike.hw.neuron.update_lane import UpdateLane

__all__ = ["UpdateEngine"]

SLACK = 4
"""Places of a write queue beyond the words in the lanes, so that it does not hold them up."""


class UpdateEngine(Engine):
    """Updates weights word by word: momenta, masters, and the copy in the storage format.

    The masters and momenta are updated in place. Throughput is ``update_lanes`` weights a cycle.
    With ``inhibit`` the engine is done at once, and nothing is read or written.

    Parameters
    ----------
    format : Float
        Storage format.
    lanes : int
        Weights in a word.
    update_lanes : int
        Weights updated in a cycle; divides ``lanes``.

    Members
    -------
    dw_read, w_read, v_read : Out(ReadPort), w_write, v_write, stored_write : Out(WritePort)
        For the others see :class:`backspike.hw.engine.Engine`; nothing is ever skipped.

    Raises
    ------
    ValueError
        If ``update_lanes`` does not divide ``lanes``.
    """

    _format = Parameter[Float]()
    _lanes = Parameter[int]()
    _update_lanes = Parameter[int]()

    def __init__(self, *, format: Float, lanes: int, update_lanes: int):
        if update_lanes < 1 or lanes % update_lanes:
            raise ValueError(
                f"UpdateEngine update_lanes must divide lanes = {lanes}, not {update_lanes!r}"
            )
        ports = {
            f"{name}_read": Out(ReadPort(width=BINARY32.width * lanes)) for name in ("dw", "w", "v")
        }
        for name, width in (("w", BINARY32.width), ("v", BINARY32.width), ("stored", format.width)):
            ports[f"{name}_write"] = Out(WritePort(width=width * lanes, granules=lanes))
        super().__init__(
            command=UpdateCommand,
            ports=ports,
            counts={"lanes": update_lanes.bit_length()},
            parameters={"format": format, "lanes": lanes, "update_lanes": update_lanes},
        )

    @classmethod
    def from_config(cls, config: ChipConfig) -> Self:
        """The engine of a core of ``config``."""
        array = config.array
        return cls(format=config.format, lanes=array.lanes, update_lanes=array.update_lanes)

    def elaborate(self, platform):
        m = Module()
        finished = Signal()
        begins = self.sequence(m, finished)
        enter = Signal()
        last_part = Signal()
        parts = self._lanes // self._update_lanes
        part = Signal(range(max(parts, 2)))
        words = Signal(WORDS_BITS)
        m.d.comb += [
            last_part.eq(part == parts - 1),
            words.eq(Mux(self.command.inhibit, 0, self.command.words)),
        ]
        with m.If(enter):
            m.d.sync += part.eq(Mux(last_part, 0, part + 1))

        streams = self._fetch(m, begins, words, enter & last_part)
        lanes = [UpdateLane(format=self._format) for _ in range(self._update_lanes)]
        for number, lane in enumerate(lanes):
            m.submodules[f"lane_{number}"] = lane
            for name in ("k", "wd", "mu", "lr"):
                m.d.comb += getattr(lane, name).eq(getattr(self.command, name))
            for name, stream in streams.items():
                group = stream.o_data.word_select(part, BINARY32.width * self._update_lanes)
                m.d.comb += getattr(lane, name).eq(group.word_select(number, BINARY32.width))
        entered = Signal(lanes[0].latency)
        completed = Signal(lanes[0].latency)
        m.d.sync += [
            entered.eq(Cat(enter, entered)),
            completed.eq(Cat(enter & last_part, completed)),
        ]
        queues, ended = self._store(
            m, begins, words, enter & last_part, lanes, entered[-1], completed[-1]
        )

        m.d.comb += [
            enter.eq(
                Cat(stream.o_valid for stream in streams.values()).all()
                & Cat(queue.available for queue in queues).all()
            ),
            finished.eq(ended & Cat(queue.idle for queue in queues).all()),
        ]
        m.d.sync += [
            self.overflow.eq(entered[-1] & Cat(lane.overflow for lane in lanes).any()),
            self.invalid.eq(entered[-1] & Cat(lane.invalid for lane in lanes).any()),
        ]
        self.count(m, entering=enter, lanes=Mux(enter, self._update_lanes, 0))
        return m

    def _fetch(self, m: Module, begins, words, take):
        """Streams of the operands' words."""
        streams = {}
        for name in ("dw", "w", "v"):
            stream = ReadStream(width=BINARY32.width * self._lanes)
            m.submodules[f"{name}_stream"] = streams[name] = stream
            connect(m, stream.port, flipped(getattr(self, f"{name}_read")))
            asked = Signal(WORDS_BITS, name=f"{name}_asked")
            m.d.comb += [
                stream.i_valid.eq(self.running & (asked != words)),
                stream.i_read.eq(1),
                stream.i_addr.eq(getattr(self.command, name) + asked),
                stream.o_ready.eq(take),
            ]
            with m.If(begins):
                m.d.sync += asked.eq(0)
            with m.Elif(stream.i_valid & stream.i_ready):
                m.d.sync += asked.eq(asked + 1)
        return streams

    def _store(self, m: Module, begins, words, reserve, lanes, leave, complete):
        """Queues of results, which come part by part, and whether all words are in them."""
        pushed = Signal(WORDS_BITS)
        with m.If(begins):
            m.d.sync += pushed.eq(0)
        with m.Elif(complete):
            m.d.sync += pushed.eq(pushed + 1)
        # Words that can be in the lanes at a time, and some that wait.
        depth = lanes[0].latency * self._update_lanes // self._lanes + 1 + SLACK
        queues = []
        for memory, output, width in (
            ("w", "w_out", BINARY32.width),
            ("v", "v_out", BINARY32.width),
            ("stored", "stored", self._format.width),
        ):
            word = Cat(getattr(lane, output) for lane in lanes)
            if self._update_lanes < self._lanes:
                missing = width * (self._lanes - self._update_lanes)
                before = Signal(missing, name=f"{memory}_before")
                word = Cat(before, word)
                with m.If(leave):
                    m.d.sync += before.eq(word[-missing:])
            queue = WriteQueue(width=width * self._lanes, depth=depth)
            m.submodules[f"{memory}_queue"] = queue
            port = getattr(self, f"{memory}_write")
            m.d.comb += [
                queue.reserve.eq(reserve),
                queue.push.eq(complete),
                queue.addr.eq(getattr(self.command, memory) + pushed),
                queue.data.eq(word),
                queue.mask.eq(1),
                queue.port.ready.eq(port.ready),
                port.en.eq(queue.port.en),
                port.addr.eq(queue.port.addr),
                port.data.eq(queue.port.data),
                port.mask.eq(~0),
            ]
            queues.append(queue)
        return queues, pushed == words
