"""From the accumulators of a finished position to words of dw in memory."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from backspike.hw.arith.add import FloatAdd
from backspike.hw.arith.fixed import RoundFixed
from backspike.hw.arith.format import BINARY32, Float
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.isa.wg.command import WgCommand
from backspike.hw.limits import ADDRESS_BITS, PLANE_BITS
from backspike.hw.memory.port import ReadPort, WritePort
from backspike.hw.memory.stream import ReadStream, WriteQueue
from backspike.hw.wg.array import group_bits

__all__ = ["WgReadout", "WgRounder"]

SUM_CYCLES = 3
"""Cycles from ``load`` of the array to its sums."""


class WgRounder(EmitOnce):
    """Rounds sums to binary32 and adds the old dw: o = RN32(RN32(2**-plane * sum) + old).

    Throughput one vector of ``dw_lanes`` a cycle. ``old`` and ``flags`` come ``round_latency``
    cycles after ``sums``, the result ``latency`` cycles after them.

    Parameters
    ----------
    format : Float
        Of du, which decides the sums' width and LSB.
    dw_lanes : int
        Sums side by side.

    Members
    -------
    sums : In(signed(psum_bits)) x dw_lanes, plane : In(PLANE_BITS)
    old : In(BINARY32.width) x dw_lanes
        -0 for nothing to add.
    o : Out(BINARY32.width) x dw_lanes
    overflow, invalid : Out(dw_lanes)
        With ``o``.
    """

    _format = Parameter[Float]()
    _dw_lanes = Parameter[int]()

    def __init__(self, *, format: Float, dw_lanes: int):
        super().__init__(
            {
                "sums": In(signed(format.psum_bits)).array(dw_lanes),
                "plane": In(PLANE_BITS),
                "old": In(BINARY32.width).array(dw_lanes),
                "o": Out(BINARY32.width).array(dw_lanes),
                "overflow": Out(dw_lanes),
                "invalid": Out(dw_lanes),
            },
            format=format,
            dw_lanes=dw_lanes,
        )

    @property
    def round_latency(self) -> int:
        """Cycles from ``sums`` to ``old``."""
        return RoundFixed.latency_of(**self._rounding)

    @property
    def latency(self) -> int:
        """Cycles from ``sums`` to ``o``."""
        return self.round_latency + FloatAdd.latency_of(format=BINARY32)

    @property
    def _rounding(self) -> dict[str, Any]:
        """Parameters of the :class:`RoundFixed` of a lane."""
        return {
            "width": self._format.psum_bits,
            "lsb": self._format.lsb,
            "format": BINARY32,
            "scale_bits": PLANE_BITS,
        }

    def elaborate(self, platform):
        m = Module()
        rounders = [RoundFixed(**self._rounding) for _ in range(self._dw_lanes)]
        adds = [FloatAdd(format=BINARY32) for _ in range(self._dw_lanes)]
        for lane, (rounder, add) in enumerate(zip(rounders, adds, strict=True)):
            m.submodules[f"round_{lane}"] = rounder
            m.submodules[f"add_{lane}"] = add
            m.d.comb += [
                rounder.i.eq(self.sums[lane]),
                rounder.scale.eq(self.plane),
                # A NaN made by rounding is a NaN read by the addition: one invalid says both.
                add.a.eq(self.old[lane]),
                add.b.eq(rounder.o),
                self.o[lane].eq(add.o),
            ]
        m.d.comb += [
            self.overflow.eq(Cat(add.overflow for add in adds)),
            self.invalid.eq(Cat(add.invalid for add in adds)),
        ]
        return m


class WgReadout(EmitOnce):
    """Reads the copied accumulators row by row, rounds them and writes them to memory.

    A position takes L * L / dw_lanes cycles, in which the next one accumulates. In the last tiles a
    row takes as many as its ``last_c`` channels need, and rows behind ``last_m`` one; where those
    are few, a row as many as lets its way through the rounders, some 15 cycles, be shared by the
    rows that there is room for. Rows wait for room to write and, with ``dw_acc``, for their old
    words.

    Parameters
    ----------
    format : Float
        Of du.
    lanes, dw_lanes : int
        Size of the array; values read out a cycle.

    Members
    -------
    start : In(1), command : In(WgCommand)
    captured : In(1)
        The copies hold a position from the next cycle on; only while ``free``.
    last_m, last_c : In(1)
        With ``captured``: the position is one of the last tile of output, of input channels.
    free : Out(1)
        The copies have been read.
    load, row, group : Out, sums : In(signed(psum_bits)) x dw_lanes
        Of :class:`backspike.hw.wg.array.WgArray`.
    read : Out(ReadPort), write : Out(WritePort)
        To dw; a word is a row of L values, one granule each.
    overflow, invalid : Out(1)
    idle : Out(1)
        Every row of the command has been written.
    """

    _format = Parameter[Float]()
    _lanes = Parameter[int]()
    _dw_lanes = Parameter[int]()

    def __init__(self, *, format: Float, lanes: int, dw_lanes: int):
        width = lanes * BINARY32.width
        super().__init__(
            {
                "start": In(1),
                "command": In(WgCommand),
                "captured": In(1),
                "last_m": In(1),
                "last_c": In(1),
                "free": Out(1),
                "load": Out(1),
                "row": Out(range(lanes)),
                "group": Out(group_bits(lanes, dw_lanes)),
                "sums": In(signed(format.psum_bits)).array(dw_lanes),
                "read": Out(ReadPort(width=width)),
                "write": Out(WritePort(width=width, granules=lanes)),
                "overflow": Out(1),
                "invalid": Out(1),
                "idle": Out(1),
            },
            format=format,
            lanes=lanes,
            dw_lanes=dw_lanes,
        )

    def elaborate(self, platform):
        m = Module()
        groups = self._lanes // self._dw_lanes
        rounder = WgRounder(format=self._format, dw_lanes=self._dw_lanes)
        m.submodules.rounder = rounder
        # Rows that are on their way through the rounders, and two that come or go meanwhile.
        depth = -(-(SUM_CYCLES + rounder.latency + 1) // groups) + 2
        m.submodules.queue = queue = WriteQueue(width=self._lanes * BINARY32.width, depth=depth)
        m.submodules.old = old = ReadStream(
            width=self._lanes * BINARY32.width, tag_bits=ADDRESS_BITS, depth=depth
        )
        connect(m, old.port, flipped(self.read))
        asking = self._ask(m, old)

        now, rows_asked = self._read(m, old, queue, asking)

        done, address = self._round(m, rounder, old, now)
        row, raising = self._gather(m, rounder, done)
        m.d.sync += queue.push.eq(done.valid & done.last)
        m.d.comb += [
            queue.addr.eq(address),
            queue.data.eq(row),
            queue.mask.eq(1),
            self.overflow.eq((rounder.overflow & raising).any()),
            self.invalid.eq((rounder.invalid & raising).any()),
            self.idle.eq(~asking & (rows_asked == 0) & queue.idle),
            self.write.en.eq(queue.port.en),
            self.write.addr.eq(queue.port.addr),
            self.write.data.eq(queue.port.data),
            self.write.mask.eq(queue.port.mask.replicate(self._lanes)),
            queue.port.ready.eq(self.write.ready),
        ]
        return m

    def _round(self, m: Module, rounder: WgRounder, old: ReadStream, now: data.View):
        """Sends the sums of the steps through the rounders, with the old words beside them.

        Returns the step whose rounded values are there, and the address of its row a cycle later.
        """
        command = self.command
        # What a step is, by cycles since: its sums come SUM_CYCLES later, their values after these.
        stages = [now]
        for cycle in range(1, 1 + SUM_CYCLES + rounder.latency):
            stage = Signal(self._step, name=f"step_{cycle}")
            m.d.sync += stage.eq(stages[-1])
            stages.append(stage)
        adding, done = stages[SUM_CYCLES + rounder.round_latency], stages[-1]
        olds = Signal(self._dw_lanes * BINARY32.width)
        with m.If(command.dw_acc):
            m.d.comb += olds.eq(old.o_data.word_select(adding.group, len(olds)))
        with m.Else():
            nothing = Const(BINARY32.minus_zero, BINARY32.width)
            m.d.comb += olds.eq(nothing.replicate(self._dw_lanes))
        m.d.comb += rounder.plane.eq(command.plane)
        for lane in range(self._dw_lanes):
            m.d.comb += [
                rounder.sums[lane].eq(self.sums[lane]),
                rounder.old[lane].eq(olds.word_select(lane, BINARY32.width)),
            ]
        m.d.comb += old.o_ready.eq(adding.valid & adding.last)

        # The row's address goes with its last step through the addition.
        address = Signal(ADDRESS_BITS)
        m.d.comb += address.eq(old.o_tag)
        for cycle in range(rounder.latency - rounder.round_latency + 1):
            later = Signal(ADDRESS_BITS, name=f"address_{cycle + 1}")
            m.d.sync += later.eq(address)
            address = later
        return done, address

    @property
    def _step(self) -> data.StructLayout:
        """One step is dw_lanes columns of a row; ``blank`` is that of a row without a channel."""
        return data.StructLayout(
            {
                "valid": 1,
                "group": group_bits(self._lanes, self._dw_lanes),
                "last": 1,
                "last_c": 1,
                "blank": 1,
            }
        )

    def _read(self, m: Module, old: ReadStream, queue: WriteQueue, asking: Signal):
        """Reads the copies row by row, once there is room to write and the old word has come.

        Returns the step of this cycle, and how many rows were asked for that have not begun.
        """
        command = self.command
        depth, groups = old.parameters["depth"], self._lanes // self._dw_lanes
        now, rows_ready = Signal(self._step), Signal(range(depth + 1))
        occupied, in_row, begins = Signal(), Signal(), Signal()
        last_m, last_c, last_group = Signal(), Signal(), Signal.like(self.group)
        m.d.comb += [
            last_group.eq(
                Mux(last_c, (command.last_c - 1) >> exact_log2(self._dw_lanes), groups - 1)
            ),
            begins.eq(occupied & ~in_row & (rows_ready != 0) & queue.available),
            queue.reserve.eq(begins),
            now.valid.eq(begins | in_row),
            now.group.eq(self.group),
            now.last_c.eq(last_c),
            now.blank.eq(last_m & (self.row >= command.last_m)),
            now.last.eq(now.blank | (self.group == last_group)),
            self.load.eq(now.valid),
            self.free.eq(~occupied),
        ]
        # Rows asked for, and of those the ones whose old word has come, that have not begun.
        rows_asked = Signal(range(depth + 2))
        asked = asking & old.i_ready
        m.d.sync += [
            rows_asked.eq(rows_asked + asked - begins),
            rows_ready.eq(rows_ready + old.arrived - begins),
        ]
        with m.If(now.valid):
            m.d.sync += [self.group.eq(Mux(now.last, 0, self.group + 1)), in_row.eq(~now.last)]
        with m.If(now.valid & now.last):
            m.d.sync += self.row.eq(self.row + 1)
            with m.If(self.row == self._lanes - 1):
                m.d.sync += occupied.eq(0)
        with m.If(self.captured):
            m.d.sync += [occupied.eq(1), last_m.eq(self.last_m), last_c.eq(self.last_c)]
        return now, rows_asked

    def _gather(self, m: Module, rounder: WgRounder, done: data.View) -> tuple[Value, Value]:
        """The row that ends with ``done``, and the lanes of the rounder whose statuses count."""
        command = self.command
        # A row gathers until its last step. Lanes without a channel are reset: that costs no gate.
        there = Signal(self._lanes)
        gathered = []
        for lane in range(self._lanes):
            value = Signal(BINARY32.width, name=f"gathered_{lane}", reset_less=True)
            gathered.append(value)
            group, number = divmod(lane, self._dw_lanes)
            m.d.comb += there[lane].eq(~done.blank & (~done.last_c | (lane < command.last_c)))
            with m.If(done.valid & ~there[lane]):
                m.d.sync += value.eq(0)
            with m.Elif(done.valid & (done.group == group)):
                m.d.sync += value.eq(rounder.o[number])
        raising = there.word_select(done.group, self._dw_lanes) & done.valid.replicate(
            self._dw_lanes
        )
        return Cat(gathered), raising

    def _ask(self, m: Module, old: ReadStream) -> Signal:
        """Asks for the old words, row by row; or only sends their addresses through the buffer.

        Returns what says that rows are left to be asked for.
        """
        command = self.command
        address, left = Signal(ADDRESS_BITS), Signal.like(command.dw_words)
        asking = Signal()
        m.d.comb += [
            asking.eq(left != 0),
            old.i_valid.eq(asking),
            old.i_addr.eq(address),
            old.i_read.eq(command.dw_acc),
            old.i_tag.eq(address),
        ]
        with m.If(self.start):
            m.d.sync += [address.eq(command.dw_base), left.eq(command.dw_words)]
        with m.Elif(asking & old.i_ready):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
        return asking
