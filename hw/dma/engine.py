"""What both DMA engines have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.dma.axi import ADDRESS_BITS as DRAM_BITS
from hw.dma.bursts import Bursts
from hw.dma.command import DmaCommand
from hw.engine import Engine
from hw.limits import check_whole

__all__ = ["DmaEngine"]

PAGE_BITS = 8 * 4096
"""Bits between two addresses that no burst may cross."""


class DmaEngine(Engine):
    """Base of the DMA engines: SRAMs of any widths on one side, a bus of one width on the other.

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
    ports, bus
        What the subclass makes of them: members, and the signature of the bus.

    Raises
    ------
    ValueError
        If something is out of its range.
    """

    def __init__(
        self,
        *,
        memories: tuple[tuple[str, int, int], ...],
        bus_bits: int,
        burst_beats: int,
        outstanding: int,
        ports: Mapping[str, Any],
        bus: Any,
    ):
        check_whole("outstanding", outstanding, 1)
        check_whole("number of memories", len(memories), 1, 16)
        _check_power("bus_bits", bus_bits, 8, 1024)
        _check_power("burst_beats", burst_beats, 1, min(256, PAGE_BITS // bus_bits))
        for name, width, _ in memories:
            _check_power(f"width of {name}", width, 8)
        self._names = tuple(name for name, _, _ in memories)
        self._widths = tuple(width for _, width, _ in memories)
        self._bus_bits = bus_bits
        self._burst_beats = burst_beats
        self._outstanding = outstanding
        super().__init__(
            command=DmaCommand,
            ports=ports,
            counts={},
            members={"origin": In(DRAM_BITS), "bus": Out(bus), "error": Out(1)},
            parameters={
                "memories": memories,
                "bus_bits": bus_bits,
                "burst_beats": burst_beats,
                "outstanding": outstanding,
            },
        )

    def _walk(self, m: Module, begins: Signal, failed: Signal) -> Bursts:
        """The bursts of the command; none is added to them once the command has failed."""
        m.submodules.bursts = bursts = Bursts(
            widths=self._widths, bus_bits=self._bus_bits, burst_beats=self._burst_beats
        )
        m.d.comb += [
            bursts.start.eq(begins),
            bursts.command.eq(self.command),
            bursts.origin.eq(self.origin),
            bursts.stop.eq(failed | ~self.running),
            self.error.eq(self.done & failed),
        ]
        return bursts

    def _selected(self) -> list:
        """Which SRAM the command is for, one-hot."""
        return [self.command.sram == number for number in range(len(self._widths))]

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

    def _next_address(self, address: Signal, row_over: Any) -> Any:
        """The SRAM address of the word after this one, which may be the last of its row."""
        command = self.command
        gap = (command.sram_row - command.words + 1)[: len(address)]
        return address + Cat(gap[0] | ~row_over, gap[1:] & row_over.replicate(len(gap) - 1))


def _check_power(name: str, value: int, low: int, high: int | None = None) -> None:
    check_whole(name, value, low, high)
    if value & (value - 1):
        raise ValueError(f"{name} must be a power of two, not {value!r}")
