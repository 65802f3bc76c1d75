"""A bench of cells in a ring: small, but with all that a block may have at its ports."""

from __future__ import annotations

from amaranth import Cat, ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.memory.sram import Sram

__all__ = ["DEPTH", "WIDTH", "Cell", "CellBench"]

DEPTH, WIDTH = 16, 40
"""Of the memory of a cell."""
MEMORY = "sram_table"


class Cell(EmitOnce):
    """A memory that numbers walk through; two clocks, and paths from inputs to outputs.

    Parameters
    ----------
    factor : int
        Of the state, in each cycle.
    """

    _factor = Parameter[int]()

    def __init__(self, *, factor: int):
        super().__init__(
            {
                "noc_clk": In(1),
                "seed": In(8),
                "i": In(70),
                "early": Out(40),  # depends on i in the same cycle
                "late": Out(70),  # does not
                "count": Out(16),  # of the other clock
            },
            factor=factor,
        )

    @property
    def module_name(self) -> str:
        """There is one in a bench."""
        return "cell_module"

    def elaborate(self, platform):
        m = Module()
        m.domains.noc = ClockDomain(local=True, reset_less=True)
        m.d.comb += ClockSignal("noc").eq(self.noc_clk)
        m.submodules[MEMORY] = table = Sram(depth=DEPTH, width=WIDTH)
        state = Signal(16)
        other = Signal(16)
        m.d.sync += [
            state.eq(state * self._factor + self.i[:16] + self.seed + other),
            self.late.eq(Cat(table.read.data, state) ^ self.i.rotate_left(3)),
        ]
        m.d.noc += [other.eq(other + state + self.early), self.count.eq(self.count ^ other)]
        m.d.comb += [
            self.early.eq(self.i[30:] ^ state),
            table.read.en.eq(state[15]),
            table.read.addr.eq(state[:4]),
            table.write.en.eq(state[14] & self.i[69]),
            table.write.addr.eq(state[4:8]),
            table.write.data.eq(self.i),
            table.write.mask.eq(1),
        ]
        return m


class CellBench(EmitOnce):
    """Cells of which each takes what comes from the one before, and the first what is late.

    Parameters
    ----------
    cells : int
    factor : int
    blocks : tuple of str
        See :func:`backspike.sim.harness.cosim.build`.
    """

    cells = Parameter[int]()
    _factor = Parameter[int]()

    def __init__(self, *, cells: int, factor: int, blocks: tuple[str, ...]):
        self.blocks = blocks
        members = {"clk": In(1), "noc_clk": In(1), "rst": In(1), "drive": In(70)}
        for number in range(cells):
            members |= {f"early_{number}": Out(40), f"late_{number}": Out(70)}
            members |= {f"count_{number}": Out(16)}
        super().__init__(members, cells=cells, factor=factor)

    @property
    def module_name(self) -> str:
        """Always the same: a bench is only ever a top."""
        return "bench"

    @property
    def title(self) -> str:
        """Names the folder that the bench is built in."""
        return f"Cells-{self.cells}"

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(self.rst)]
        cells = [Cell(factor=self._factor) for _ in range(self.cells)]
        for number, cell in enumerate(cells):
            m.submodules[f"cell_{number}"] = cell
            before = cells[number - 1]
            # Not a loop, though it looks like one to who does not know what is in a cell.
            early = before.early if number else Const(0)
            m.d.comb += [
                cell.noc_clk.eq(self.noc_clk),
                cell.seed.eq(number),
                cell.i.eq(before.late ^ early ^ self.drive),
            ]
            for name in ("early", "late", "count"):
                m.d.comb += getattr(self, f"{name}_{number}").eq(getattr(cell, name))
        return m
