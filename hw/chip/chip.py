"""The chip: cores on two meshes, their ports to DRAM, and the host."""

from __future__ import annotations

from typing import Any, Self

from amaranth import DomainRenamer, Module
from amaranth.lib.wiring import In, Out, connect, flipped

from backspike.hw.chip.dram import SharedDram, joined_id_bits
from backspike.hw.chip.host import ChipHost, host_address_bits
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.core.axi_lite import AxiLite
from backspike.hw.core.core import CORE_ID_BITS, Core
from backspike.hw.dma.axi import AxiBus
from backspike.hw.isa.table import UNITS
from backspike.hw.noc.crossing import Crossing
from backspike.hw.noc.flit import COORDINATE_BITS
from backspike.hw.noc.mesh import RouterMesh, edge_links
from backspike.hw.noc.packet import Reply
from backspike.hw.noc.table import MeshSize

__all__ = ["Chip"]

CROSSING_FLITS = 8
"""Flits between two clocks: as few as let one go in each cycle."""


class Chip(EmitOnce):
    """A mesh of cores.

    Cores, host and DRAM are in the domain ``sync``, the networks in the domain ``noc``; both resets
    are given together. What a core sends to another takes, from the one's clock to the other's, two
    crossings and two cycles of ``noc`` for each router.

    Parameters
    ----------
    config : ChipConfig

    Members
    -------
    x0, y0 : In(4), extent : In(MeshSize)
        Where the chip's north-western core is in the whole mesh, and how large that is, over all
        chips; constant.
    host : In(AxiLite), irq : Out(1)
        :mod:`backspike.hw.chip.map`.
    working : Out(12) x cores
        As of :class:`backspike.hw.core.core.Core`.
    dram : Out(AxiBus) x ports
        One for each core, from west to east and north to south, or a single one.
    requests_<side>_out, requests_<side>_in, replies_<side>_out, replies_<side>_in
        Links at the edges, if there are credits: see :class:`backspike.hw.noc.mesh.RouterMesh`.
    """

    _config = Parameter[ChipConfig]()

    def __init__(self, *, config: ChipConfig):
        mesh, noc, dram = config.mesh, config.noc, config.dram
        self._payloads = {"requests": noc.flit_bits, "replies": Reply.as_shape().size}
        self._size = {"rows": mesh.rows, "columns": mesh.columns}
        self._links: dict[str, dict[str, Any]] = {name: {} for name in self._payloads}
        if noc.link_credits:
            for name, payload_bits in self._payloads.items():
                self._links[name] = edge_links(
                    **self._size, payload_bits=payload_bits, credits=noc.link_credits
                )
        id_bits = CORE_ID_BITS
        if dram.shared:
            id_bits = joined_id_bits(mesh.columns, mesh.rows, CORE_ID_BITS)
        super().__init__(
            {
                "x0": In(COORDINATE_BITS),
                "y0": In(COORDINATE_BITS),
                "extent": In(MeshSize),
                "host": In(AxiLite(address_bits=host_address_bits(mesh.cores))),
                "irq": Out(1),
                "working": Out(sum(len(units) for units in UNITS.values())).array(mesh.cores),
                "dram": Out(AxiBus(data_bits=dram.bus_bits, id_bits=id_bits)).array(
                    1 if dram.shared else mesh.cores
                ),
                **{
                    f"{name}_{member}": link
                    for name, links in self._links.items()
                    for member, link in links.items()
                },
            },
            config=config,
        )

    @classmethod
    def from_config(cls, config: ChipConfig) -> Self:
        """The chip of ``config``."""
        return cls(config=config)

    @property
    def module_name(self) -> str:
        """There is one."""
        return "chip"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        mesh, noc = self._config.mesh, self._config.noc
        networks = {
            name: RouterMesh(
                **self._size,
                payload_bits=payload_bits,
                depth=noc.buffer_flits,
                credits=noc.link_credits,
            )
            for name, payload_bits in self._payloads.items()
        }
        for name, network in networks.items():
            m.submodules[name] = DomainRenamer("noc")(network)
            m.d.comb += [network.x0.eq(self.x0), network.y0.eq(self.y0)]
            for member in self._links[name]:
                ends = zip(getattr(network, member), getattr(self, f"{name}_{member}"), strict=True)
                for here, there in ends:
                    connect(m, here, flipped(there))
        m.submodules.chip_host = host = ChipHost(columns=mesh.columns, rows=mesh.rows)
        connect(m, flipped(self.host), host.bus)
        m.d.comb += self.irq.eq(host.irq)
        cores = []
        for number in range(mesh.cores):
            y, x = divmod(number, mesh.columns)
            core = Core.from_config(self._config)
            m.submodules[f"core_{x}_{y}"] = core
            cores.append(core)
            connect(m, host.cores[number], core.host)
            m.d.comb += [
                core.x.eq(self.x0 + x),
                core.y.eq(self.y0 + y),
                core.extent.eq(self.extent),
                host.running[number].eq(core.running),
                host.stopped[number].eq(core.stopped),
                self.working[number].eq(core.working),
            ]
            for port, subcore in enumerate(UNITS):
                for name, network in networks.items():
                    here, there = core.network[port], f"{name}_{x}_{y}_{subcore}"
                    self._cross(
                        m,
                        f"to_{there}",
                        getattr(here, f"{name}_o"),
                        network.i[y][x][port],
                        {"write": "sync", "read": "noc"},
                    )
                    self._cross(
                        m,
                        f"from_{there}",
                        network.o[y][x][port],
                        getattr(here, f"{name}_i"),
                        {"write": "noc", "read": "sync"},
                    )
        self._drams(m, cores)
        return m

    def _cross(self, m: Module, name: str, source: Any, sink: Any, domains: dict[str, str]) -> None:
        """From one clock to the other."""
        payload_bits = len(source.payload.payload)
        crossing = Crossing(payload_bits=payload_bits, depth=CROSSING_FLITS)
        m.submodules[name] = DomainRenamer(domains)(crossing)
        connect(m, source, crossing.i)
        connect(m, crossing.o, sink)

    def _drams(self, m: Module, cores: list[Core]) -> None:
        dram = self._config.dram
        if not dram.shared:
            for core, bus in zip(cores, self.dram, strict=True):
                connect(m, core.dram, flipped(bus))
            return
        m.submodules.shared_dram = shared = SharedDram(
            columns=self._config.mesh.columns,
            rows=self._config.mesh.rows,
            data_bits=dram.bus_bits,
            id_bits=CORE_ID_BITS,
        )
        for core, bus in zip(cores, shared.cores, strict=True):
            connect(m, core.dram, bus)
        connect(m, shared.bus, flipped(self.dram[0]))
