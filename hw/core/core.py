"""A computing core: an FP and a BP sub-core, one port to DRAM and one to the host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from amaranth import Cat, Module
from amaranth.lib.wiring import In, Out, connect, flipped

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.control.controller import Progress
from backspike.hw.core.axi_lite import AxiLite
from backspike.hw.core.host import HostPort
from backspike.hw.core.host_memory import HostMemory
from backspike.hw.core.subcore import SubCore
from backspike.hw.dma.arbiter import AxiReadArbiter, AxiWriteArbiter
from backspike.hw.dma.axi import AxiBus, join
from backspike.hw.isa.table import UNITS
from backspike.hw.noc.flit import COORDINATE_BITS
from backspike.hw.noc.packet import NetworkPort
from backspike.hw.noc.table import MeshSize

__all__ = ["CORE_ID_BITS", "Core", "counter_names"]

CORE_ID_BITS = 3
"""Bits of id of a core's port to DRAM: sub-cores and host, and the clients of each."""


def counter_names(subcores: Iterable[SubCore]) -> dict[str, tuple[str, ...]]:
    """Names of the counters of each unit, ``fp_read`` being the one called read of sub-core fp."""
    return {
        f"{subcore.name}_{unit}": tuple(name for name, _ in subcore.signature.members[unit].shape)
        for subcore in subcores
        for unit in UNITS[subcore.name]
    }


class Core(EmitOnce):
    """Everything of a core but its routers.

    Parameters
    ----------
    config : ChipConfig

    Members
    -------
    host : In(AxiLite), irq : Out(1)
        Registers: :mod:`backspike.hw.core.map`.
    running : Out(1), stopped : Out(1)
        One of its programs runs; one was stopped by a fault.
    working : Out(12)
        The units that are at work, those of sub-core FP first: for a profiler, or for lamps.
    dram : Out(AxiBus)
        Ids tell the clients apart: programs and data of both sub-cores, and the host.
    x, y : In(4), extent : In(MeshSize)
        Where the core is in the whole mesh, and how large that is; constant. With an extent of 0
        nothing leaves the core.
    network : Out(NetworkPort) x 2
        Of the FP and of the BP sub-core, in the core's clock.
    """

    _config = Parameter[ChipConfig]()

    def __init__(self, *, config: ChipConfig):
        # How many cores there are, and how fast, is nothing that a core knows.
        config = config.core
        super().__init__(
            {
                "host": In(AxiLite()),
                "irq": Out(1),
                "running": Out(1),
                "stopped": Out(1),
                "working": Out(sum(len(units) for units in UNITS.values())),
                "dram": Out(AxiBus(data_bits=config.dram.bus_bits, id_bits=CORE_ID_BITS)),
                "x": In(COORDINATE_BITS),
                "y": In(COORDINATE_BITS),
                "extent": In(MeshSize),
                "network": Out(NetworkPort(flit_bits=config.noc.flit_bits)).array(len(UNITS)),
            },
            config=config,
        )

    @classmethod
    def from_config(cls, config: ChipConfig) -> Self:
        """The core of ``config``: the same for all chips that have such cores."""
        return cls(config=config.core)

    @property
    def module_name(self) -> str:
        """There is one in a chip."""
        return "core"

    def elaborate(self, platform):
        m = Module()
        subcores = {name: SubCore(config=self._config, subcore=name) for name in UNITS}
        m.submodules.host = host = HostPort(
            counters=counter_names(subcores.values()), connections=self._config.noc.connections
        )
        connect(m, flipped(self.host), host.bus)
        m.d.comb += [host.x.eq(self.x), host.y.eq(self.y), host.extent.eq(self.extent)]
        m.d.comb += self.irq.eq(host.irq)
        m.d.comb += self.working.eq(Cat(subcore.working for subcore in subcores.values()))
        for number, (name, subcore) in enumerate(subcores.items()):
            (other,) = (each for each in UNITS if each != name)
            there = subcores[other]
            m.submodules[f"subcore_{name}"] = subcore
            m.d.comb += [
                subcore.start.eq(host.start[number]),
                subcore.program.eq(getattr(host, f"{name}_program")),
                subcore.origin.eq(host.origin),
                subcore.timeout.eq(host.timeout),
                subcore.forget.eq(host.forget),
                subcore.clear_counters.eq(host.clear_counters),
                getattr(host, name).eq(subcore.status),
                subcore.messages.eq(there.signals),
                subcore.full.eq(there.messages_full),
                subcore.other_found.eq(there.found),
                subcore.x.eq(self.x),
                subcore.y.eq(self.y),
                subcore.extent.eq(self.extent),
                subcore.connect.eq(host.connect[number]),
                subcore.entry.eq(host.entry),
                *(
                    getattr(host, f"{name}_{unit}").eq(getattr(subcore, unit))
                    for unit in UNITS[name]
                ),
            ]
            for sram in subcore.outgoing:
                connect(m, getattr(subcore, f"{sram}_out"), getattr(there, f"{sram}_in"))
            connect(m, subcore.network, flipped(self.network[number]))

        progress = [subcore.status.progress for subcore in subcores.values()]
        m.d.comb += [
            self.running.eq(Cat(each == Progress.RUNNING for each in progress).any()),
            self.stopped.eq(Cat(each == Progress.STOPPED for each in progress).any()),
        ]
        self._dram(m, host, subcores.values())
        return m

    def _dram(self, m: Module, host: HostPort, subcores: Iterable[SubCore]) -> None:
        """One port to DRAM for the sub-cores, and for the host."""
        bus_bits = self._config.dram.bus_bits
        m.submodules.host_memory = memory = HostMemory(bus_bits=bus_bits)
        join(m, host.memory.signature, host.memory, memory.host)
        masters = [*subcores, memory]
        m.submodules.reads = reads = AxiReadArbiter(
            clients=len(masters), data_bits=bus_bits, id_bits=1
        )
        m.submodules.writes = writes = AxiWriteArbiter(clients=len(masters), data_bits=bus_bits)
        for number, master in enumerate(masters):
            connect(m, master.read_bus, reads.clients[number])
            connect(m, master.write_bus, writes.clients[number])
        for bus in (reads.bus, writes.bus):
            join(m, bus.signature, bus, self.dram)
