"""A computing core: an FP and a BP sub-core, one port to DRAM and one to the host."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth import Cat, Module
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.component import EmitOnce
from hw.config import ChipConfig
from hw.core.host import AxiLite, HostPort
from hw.core.subcore import SubCore
from hw.dma.arbiter import AxiReadArbiter, AxiWriteArbiter
from hw.dma.axi import AxiBus
from hw.isa import UNITS

__all__ = ["Core", "counter_names"]


def counter_names(subcores: Iterable[SubCore]) -> dict[str, tuple[str, ...]]:
    """Names of the counters of each unit, ``fp_read`` being the one called read of sub-core fp."""
    return {
        f"{subcore.name}_{unit}": tuple(name for name, _ in subcore.signature.members[unit].shape)
        for subcore in subcores
        for unit in UNITS[subcore.name]
    }


class Core(EmitOnce):
    """Everything of a core but its router.

    Parameters
    ----------
    config : ChipConfig

    Members
    -------
    host : In(AxiLite), irq : Out(1)
        Registers: :mod:`hw.core.map`.
    working : Out(12)
        The units that are at work, those of sub-core FP first: for a profiler, or for lamps.
    dram : Out(AxiBus)
        Ids tell the clients apart: programs and data of both sub-cores.
    """

    def __init__(self, *, config: ChipConfig):
        # How many cores there are, and how fast, is nothing that a core knows.
        self._config = config = config.core
        super().__init__(
            {
                "host": In(AxiLite()),
                "irq": Out(1),
                "working": Out(sum(len(units) for units in UNITS.values())),
                "dram": Out(AxiBus(data_bits=config.dram.bus_bits, id_bits=2)),
            },
            config=config,
        )

    @classmethod
    def from_config(cls, config: ChipConfig) -> Core:
        """The core of a chip."""
        return cls(config=config)

    @property
    def module_name(self) -> str:
        """There is one in a chip."""
        return "core"

    def elaborate(self, platform):
        m = Module()
        subcores = {name: SubCore(config=self._config, subcore=name) for name in UNITS}
        m.submodules.host = host = HostPort(counters=counter_names(subcores.values()))
        connect(m, flipped(self.host), host.bus)
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
                subcore.clear_counters.eq(host.clear_counters),
                getattr(host, name).eq(subcore.status),
                subcore.messages.eq(there.signals),
                subcore.full.eq(there.messages_full),
                subcore.other_status.eq(there.status.overflow | there.status.invalid),
                *(
                    getattr(host, f"{name}_{unit}").eq(getattr(subcore, unit))
                    for unit in UNITS[name]
                ),
            ]
            for member in subcore.signature.members:
                if member.endswith("_out"):
                    connect(m, getattr(subcore, member), getattr(there, f"{member[:-4]}_in"))

        bus_bits = self._config.dram.bus_bits
        m.submodules.reads = reads = AxiReadArbiter(
            clients=len(subcores), data_bits=bus_bits, id_bits=1
        )
        m.submodules.writes = writes = AxiWriteArbiter(clients=len(subcores), data_bits=bus_bits)
        for number, subcore in enumerate(subcores.values()):
            connect(m, subcore.read_bus, reads.clients[number])
            connect(m, subcore.write_bus, writes.clients[number])
        for bus in (reads.bus, writes.bus):
            for name, member in bus.signature.members.items():
                here, there = getattr(bus, name), getattr(self.dram, name)
                m.d.comb += there.eq(here) if member.flow == Out else here.eq(there)
        return m
