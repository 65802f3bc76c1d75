"""A top for testing chips, which may be joined at their edges, with their DRAMs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from amaranth import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from backspike.hw.chip.chip import Chip
from backspike.hw.chip.host import host_address_bits
from backspike.hw.chip.map import core_window
from backspike.hw.component import Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.core.axi_lite import AxiLite
from backspike.hw.core.connection import Place
from backspike.sim.harness.bench import STALL_BITS
from backspike.sim.harness.delay import DELAY_BITS, Delay
from backspike.sim.harness.mesh import RECORDED, CoreSite, MeshBench

__all__ = ["ChipBench"]

SIDES = {"east": "west", "west": "east", "south": "north", "north": "south"}


class ChipBench(MeshBench):
    """Chips, joined at their edges, with their DRAMs; host and DRAM's latency are ports.

    Parameters
    ----------
    config : ChipConfig
        Of each chip; with links if there are several.
    dram_bytes : int
        Bytes of DRAM that programs of a core need.
    chips : (int, int)
        From west to east, and from north to south; they are numbered row by row, up to ``count``.
    """

    chips = Parameter[tuple[int, int]]()

    def __init__(self, config: ChipConfig, *, dram_bytes: int, chips: tuple[int, int] = (1, 1)):
        if chips != (1, 1) and not config.noc.link_credits:
            raise ValueError(
                f"ChipBench chips must be (1, 1) where noc.link_credits is 0, not {chips}"
            )
        self.count = chips[0] * chips[1]
        self.host_bits = host_address_bits(config.mesh.cores)
        super().__init__(
            {
                "noc_clk": In(1),
                "irq": Out(1).array(self.count),
                "delay": In(DELAY_BITS),
                "delay_stall": In(STALL_BITS),
                "recorded": RECORDED.array(config.mesh.cores * self.count),
            },
            config=config,
            dram_bytes=dram_bytes,
            host_bits=self.host_bits + ceil_log2(self.count),
            cores_per_dram=config.mesh.cores if config.dram.shared else 1,
            chips=chips,
        )

    @property
    def setting(self) -> dict[str, Any]:
        """What another one like it is made with."""
        return {"config": self.config, "dram_bytes": self.dram_bytes, "chips": self.chips}

    @property
    def title(self) -> str:
        """Names the folder that the bench is built in."""
        return "Chip"

    @property
    def sites(self) -> Mapping[Place, CoreSite]:
        """Where every core is, in the order of their numbers."""
        mesh, shared = self.config.mesh, self.config.dram.shared
        found = {}
        for chip, y, x in product(range(self.count), range(mesh.rows), range(mesh.columns)):
            first_x, first_y = self.first(chip)
            core = y * mesh.columns + x
            recorder = chip * mesh.cores + core
            found[first_x + x, first_y + y] = CoreSite(
                chip=chip,
                number=core,
                window=self.window(chip) + core_window(core),
                scope=f"bench.chip_{chip}.core_{x}_{y}",
                dram=f"bench.dram_{chip}_{0 if shared else core}",
                origin=core * self.core_dram_bytes if shared else 0,
                recorder=f"bench.recorder_{recorder}",
                recorded=f"recorded__{recorder}",
            )
        return found

    def window(self, chip: int) -> int:
        """Address of the first register of a chip."""
        return chip << self.host_bits

    def first(self, chip: int) -> Place:
        """The place of a chip's north-western core in the whole mesh."""
        row, column = divmod(chip, self.chips[0])
        return column * self.config.mesh.columns, row * self.config.mesh.rows

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        mesh = self.config.mesh
        reset = Signal(reset_less=True)
        for name, clock in (("sync", self.clk), ("noc", self.noc_clk)):
            m.domains += ClockDomain(name)
            m.d.comb += [ClockSignal(name).eq(clock), ResetSignal(name).eq(reset)]
        m.d.sync += reset.eq(self.rst)
        chips = [Chip.from_config(self.config) for _ in range(self.count)]
        for number, chip in enumerate(chips):
            m.submodules[f"chip_{number}"] = chip
            m.d.comb += [
                chip.x0.eq(self.first(number)[0]),
                chip.y0.eq(self.first(number)[1]),
                chip.extent.columns.eq(mesh.columns * self.chips[0]),
                chip.extent.rows.eq(mesh.rows * self.chips[1]),
                self.irq[number].eq(chip.irq),
            ]
            for port, bus in enumerate(chip.dram):
                self.add_dram(m, f"dram_{number}_{port}", bus)
            for core, working in enumerate(chip.working):
                at = number * mesh.cores + core
                self.add_recorder(m, f"recorder_{at}", working, self.recorded[at])
        for number, chip in enumerate(chips):
            row, column = divmod(number, self.chips[0])
            if column + 1 < self.chips[0]:
                self._link(m, f"eastward_{number}", chip, "east", chips[number + 1])
                self._link(m, f"westward_{number}", chips[number + 1], "west", chip)
            if row + 1 < self.chips[1]:
                self._link(m, f"southward_{number}", chip, "south", chips[number + self.chips[0]])
                self._link(m, f"northward_{number}", chips[number + self.chips[0]], "north", chip)
        self._hosts(m, chips)
        return m

    def _link(self, m: Module, name: str, here: Chip, side: str, there: Chip) -> None:
        """What leaves a chip at one side comes to the next one later, and so do the credits."""
        for network in ("requests", "replies"):
            outs = getattr(here, f"{network}_{side}_out")
            ins = getattr(there, f"{network}_{SIDES[side]}_in")
            for place, (out, into) in enumerate(zip(outs, ins, strict=True)):
                for kind, source, sink in (
                    ("flit", out.flit, into.flit),
                    ("credit", into.credit, out.credit),
                ):
                    what = f"{name}_{network}_{place}_{kind}"
                    delay = Delay(source.signature.members["payload"].shape)
                    m.submodules[what] = DomainRenamer("noc")(delay)
                    m.d.comb += [
                        delay.delay.eq(self.delay),
                        delay.stall.eq(self.delay_stall),
                        delay.seed.eq(self.own_seed(what) | 1),
                    ]
                    connect(m, source, delay.i)
                    connect(m, delay.o, sink)

    def _hosts(self, m: Module, chips: list[Chip]) -> None:
        """The upper bits of an address are the chip."""
        if self.count == 1:
            connect(m, flipped(self.host), chips[0].host)
            return
        for channel, address in (("w", self.host.awaddr), ("r", self.host.araddr)):
            chosen = address[self.host_bits :]
            for number, chip in enumerate(chips):
                here = chosen == number
                for name, member in AxiLite(address_bits=self.host_bits).members.items():
                    read = name.startswith(("ar", "r"))
                    if read != (channel == "r"):
                        continue
                    mine, theirs = getattr(self.host, name), getattr(chip.host, name)
                    if member.flow == Out:
                        valid = name.endswith("valid")
                        m.d.comb += theirs.eq(mine & here if valid else mine)
                    else:
                        with m.If(here):
                            m.d.comb += mine.eq(theirs)
