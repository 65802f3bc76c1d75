"""What both DMA engines have in common."""

from __future__ import annotations

from typing import Any, Self

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.component import Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.dma.axi import DRAM_BITS, INCREMENT, LENGTH_BITS
from backspike.hw.dma.bursts import Bursts
from backspike.hw.engine import Engine
from backspike.hw.isa.dma.command import DmaCommand
from backspike.hw.isa.table import SRAMS
from backspike.hw.limits import ADDRESS_BITS, check_whole

__all__ = ["DmaEngine"]

PAGE_BITS = 8 * 4096
"""Bits between two addresses that no burst may cross."""
MOST_MEMORIES = 1 << data.Layout.cast(DmaCommand)["sram"].width


class DmaEngine(Engine):
    """Base of the DMA engines: SRAMs of any widths on one side, a bus of one width on the other.

    Throughput is one beat a cycle, or one word a cycle if a beat holds several, as the bus and the
    SRAM allow, also across bursts and rows; ``busy`` counts beats. The first address is presented
    three cycles after ``start``.

    After an answer that is not OKAY no further burst is begun; ``done`` waits for those that were.

    Parameters
    ----------
    memories : tuple of (str, int, int)
        Name, bits of a word, and granules of each SRAM, by its number in commands; at most 16.
        Widths are powers of two from 8.
    bus_bits : int
        Bits of a beat, a power of two from 8 to 1024.
    burst_beats : int
        Beats of the longest burst: a power of two, at most 256 and 4 KB.
    outstanding : int
        Bursts that may be under way.

    Members
    -------
    origin : In(40)
        Byte in DRAM that ``command.dram`` counts from: a multiple of the bus width. Held like the
        command.
    bus : Out(AxiRead) or Out(AxiWrite)
        Without ids: all answers come in order.
    error : Out(1)
        With ``done``: the bus has answered with an error.
        For the others see :class:`backspike.hw.engine.Engine`; nothing is ever skipped.

    Raises
    ------
    ValueError
        If something is out of its range.
    """

    bus_kind: Any
    """The signature of the bus."""

    _bus_bits = Parameter[int]()
    _burst_beats = Parameter[int]()
    _outstanding = Parameter[int]()

    def __init__(
        self,
        *,
        memories: tuple[tuple[str, int, int], ...],
        bus_bits: int,
        burst_beats: int,
        outstanding: int,
    ):
        check_whole("outstanding", outstanding, 1)
        check_whole("number of memories", len(memories), 1, MOST_MEMORIES)
        _check_power("bus_bits", bus_bits, 8, 1024)
        _check_power("burst_beats", burst_beats, 1, min(1 << LENGTH_BITS, PAGE_BITS // bus_bits))
        for name, width, _ in memories:
            _check_power(f"width of {name}", width, 8)
        self._names = tuple(name for name, _, _ in memories)
        self._widths = tuple(width for _, width, _ in memories)
        bus = self.bus_kind(data_bits=bus_bits)
        super().__init__(
            command=DmaCommand,
            ports=self._memory_ports(memories),
            counts={},
            members={"origin": In(DRAM_BITS), "bus": Out(bus), "error": Out(1)},
            parameters={
                "memories": memories,
                "bus_bits": bus_bits,
                "burst_beats": burst_beats,
                "outstanding": outstanding,
            },
        )

    @classmethod
    def from_config(cls, config: ChipConfig, subcore: str) -> Self:
        """The engine of a sub-core of ``config``."""
        sizes = {name: config.srams[f"{subcore}.{name}"] for name in SRAMS[subcore]}
        return cls(
            memories=tuple((name, size.width, size.granules) for name, size in sizes.items()),
            bus_bits=config.dram.bus_bits,
            burst_beats=config.dram.burst_beats,
            outstanding=config.dram.outstanding,
        )

    def _memory_ports(self, memories: tuple[tuple[str, int, int], ...]) -> dict[str, Any]:
        """The members that are memory ports, one for each SRAM."""
        raise NotImplementedError

    def _walk(self, m: Module, begins, channel: str, answered, failed, may=None):
        """Presents the bursts of the command on the channel ``ar`` or ``aw``, while they ``may``.

        None is added once the command has failed, nor while too many wait for an answer, which
        ``answered`` says that one has got in full. Returns the bursts, and how many wait.
        """
        m.submodules.bursts = bursts = Bursts(
            widths=self._widths, bus_bits=self._bus_bits, burst_beats=self._burst_beats
        )
        asked = Signal(range(self._outstanding + 1))
        room = asked != self._outstanding
        valid, ready, address, length, size, burst = (
            getattr(self.bus, f"{channel}{name}")
            for name in ("valid", "ready", "addr", "len", "size", "burst")
        )
        m.d.comb += [
            bursts.start.eq(begins),
            bursts.command.eq(self.command),
            bursts.origin.eq(self.origin),
            bursts.stop.eq(failed | ~self.running),
            self.error.eq(self.done & failed),
            bursts.may.eq(room if may is None else room & may),
            bursts.ready.eq(ready),
            valid.eq(bursts.valid),
            address.eq(bursts.address),
            length.eq(bursts.length),
            size.eq(exact_log2(self._bus_bits // 8)),
            burst.eq(INCREMENT),
        ]
        m.d.sync += asked.eq(asked + bursts.asks - answered)
        return bursts, asked

    def _selected(self) -> list[tuple[Any, Any]]:
        """Each memory port, and whether the command is for its SRAM."""
        return [
            (self.command.sram == number, getattr(self, name))
            for number, name in enumerate(self.memory_ports)
        ]

    def _by_width(self, m: Module):
        """Goes through the cases of the command's SRAM: yields each width of a word once."""
        with m.Switch(self.command.sram):
            for width in dict.fromkeys(self._widths):
                with m.Case(*(at for at, each in enumerate(self._widths) if each == width)):
                    yield width

    def _parts(self, m: Module) -> tuple[Signal, Signal, Signal, Signal]:
        """Counts beats of a word, or words of a beat, whichever is the narrower.

        Returns the count, and the numbers of the last beat of a word, of the last word of a beat,
        and of the last word of the last beat of a row; 0 where a beat has no more than one word, or
        a word no more than one beat.
        """
        most = max(
            max(width, self._bus_bits) // min(width, self._bus_bits) for width in self._widths
        )
        part = Signal(max(1, exact_log2(most)))
        last_part, last_word = Signal.like(part), Signal.like(part)
        last_of_row = Signal.like(part)
        for width in self._by_width(m):
            m.d.comb += [
                last_part.eq(max(1, width // self._bus_bits) - 1),
                last_word.eq(max(1, self._bus_bits // width) - 1),
            ]
        m.d.comb += last_of_row.eq((self.command.words - 1) & last_word)
        return part, last_part, last_word, last_of_row

    def _steps(self, m: Module, begins, goes, part, whole, over, row_over) -> Signal:
        """Goes on by a part where it ``goes``; returns the SRAM address of the word it is at.

        The part may be the last of its word (``whole``), and of its beat (``over``), which may be
        the last of its row (``row_over``).
        """
        command = self.command
        address = Signal(ADDRESS_BITS)
        gap = (command.sram_row - command.words + 1)[: len(address)]
        with m.If(begins):
            m.d.sync += [part.eq(0), address.eq(command.base)]
        with m.Elif(goes):
            m.d.sync += part.eq(Mux(whole & over, 0, part + 1))
            with m.If(whole):
                # Over a gap of sram_row at the end of a row, else to the word behind this one.
                step = Cat(gap[0] | ~row_over, gap[1:] & row_over.replicate(len(gap) - 1))
                m.d.sync += address.eq(address + step)
        return address


def _check_power(name: str, value: int, low: int, high: int | None = None) -> None:
    check_whole(name, value, low, high)
    if value & (value - 1):
        raise ValueError(f"{name} must be a power of two, not {value!r}")
