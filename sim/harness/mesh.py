"""What tops for testing cores have in common, be it one core alone or chips of many."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth import Module, Value
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.core.axi_lite import AxiLite
from backspike.hw.core.connection import Place
from backspike.hw.dma.axi import DRAM_BITS
from backspike.sim.harness.access import RECORDS
from backspike.sim.harness.bench import STALL_BITS
from backspike.sim.harness.dram import LATENCY_BITS, SPREAD_BITS, Dram
from backspike.sim.harness.noise import SEED_BITS
from backspike.sim.harness.recorder import Recorder

__all__ = ["LEAST_DRAM", "RECORDED", "CoreSite", "MeshBench"]

LEAST_DRAM = 1 << 21
"""Bytes of DRAM that every bench has: one build serves all that needs less."""
RECORDED = Out(ceil_log2(RECORDS) + 1)
"""A port: the number of records of a core."""


@dataclass(frozen=True, kw_only=True)
class CoreSite:
    """Where a core of a bench is, for whoever talks to it or looks behind its back."""

    window: int
    """Address of its first register."""
    scope: str
    """Of the core in the simulation."""
    dram: str
    """Of the DRAM that it sees."""
    origin: int
    """Of its part of that, in bytes."""
    recorder: str
    """Of what records when its units are at work."""
    recorded: str
    """The port that counts the records."""
    chip: int = 0
    number: int = 0
    """Within the chip."""


class MeshBench(EmitOnce):
    """Cores with their DRAMs; their host and the DRAMs' latency and stalls are ports.

    Parameters
    ----------
    ports : mapping of str to member
        Beside those that all such benches have.
    config : ChipConfig
    dram_bytes : int
        Bytes of DRAM that a core needs; it may get more.
    host_bits : int
        Of an address of the host.
    cores_per_dram : int
        That have a part of it each.
    **parameters
        As of :class:`EmitOnce`.

    Attributes
    ----------
    config : ChipConfig
    dram_bytes : int
    dram_words : int
        Beats of the bus that each DRAM holds.
    """

    config = Parameter[ChipConfig]()
    dram_words = Parameter[int]()

    def __init__(
        self,
        ports: Mapping[str, Any],
        *,
        config: ChipConfig,
        dram_bytes: int,
        host_bits: int,
        cores_per_dram: int = 1,
        **parameters: Any,
    ):
        self.dram_bytes = dram_bytes
        self._cores_per_dram = cores_per_dram
        # Powers of two, as a Dram asks for.
        part = max(LEAST_DRAM, 1 << (dram_bytes - 1).bit_length())
        whole = 1 << (cores_per_dram * part - 1).bit_length()
        dram_words = whole * 8 // config.dram.bus_bits
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "host": In(AxiLite(address_bits=host_bits)),
                "latency": In(LATENCY_BITS),
                "spread": In(SPREAD_BITS),
                "stall": In(STALL_BITS),
                "seed": In(SEED_BITS),
                "limit": In(DRAM_BITS),
                "record": In(1),
                **ports,
            },
            config=config,
            dram_words=dram_words,
            **parameters,
        )

    @property
    def sites(self) -> Mapping[Place, CoreSite]:
        """Where every core is, by its place in the whole mesh."""
        raise NotImplementedError

    @property
    def setting(self) -> dict[str, Any]:
        """What another one like it is made with."""
        raise NotImplementedError

    @property
    def core_dram_bytes(self) -> int:
        """Of each core: a multiple of 4 KB, as its origin has to be."""
        return self.dram_words * self.config.dram.bus_bits // 8 // self._cores_per_dram & ~0xFFF

    @property
    def module_name(self) -> str:
        """Always the same: a bench is only ever a top."""
        return "bench"

    @property
    def blocks(self) -> tuple[str, ...]:
        """The core: whatever else there is, it is Verilated once."""
        return ("core",)

    def add_dram(self, m: Module, name: str, bus: Any) -> None:
        """A DRAM behind a port of a core or chip."""
        dram = Dram(
            words=self.dram_words, data_bits=self.config.dram.bus_bits, id_bits=len(bus.arid)
        )
        m.submodules[name] = dram
        connect(m, bus, dram.bus)
        m.d.comb += [
            dram.latency.eq(self.latency),
            dram.spread.eq(self.spread),
            dram.stall.eq(self.stall),
            dram.seed.eq(self.own_seed(name)),
            dram.limit.eq(self.limit),
        ]

    def add_recorder(self, m: Module, name: str, working: Value, recorded: Value) -> None:
        """Records when units of a core are at work, and counts the records."""
        recorder = Recorder(width=len(working), depth=RECORDS)
        m.submodules[name] = recorder
        m.d.comb += [
            recorder.watch.eq(working),
            recorder.run.eq(self.record),
            recorded.eq(recorder.count),
        ]

    def own_seed(self, name: str) -> Value:
        """Another one for each name."""
        return (self.seed ^ zlib.crc32(name.encode()))[:SEED_BITS]
