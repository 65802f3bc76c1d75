"""A top for testing a core alone, with DRAM: it is built much faster than a chip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib.wiring import Out, connect, flipped

from backspike.hw.config import ChipConfig
from backspike.hw.core.axi_lite import HOST_ADDRESS_BITS
from backspike.hw.core.connection import LONE_CORE, Place
from backspike.hw.core.core import Core
from backspike.sim.harness.mesh import RECORDED, CoreSite, MeshBench

__all__ = ["CoreBench"]


class CoreBench(MeshBench):
    """A core without network, whatever the mesh of its chip is, with its DRAM.

    Parameters
    ----------
    config : ChipConfig
    dram_bytes : int
        Bytes of DRAM that its programs need.
    """

    def __init__(self, config: ChipConfig, *, dram_bytes: int):
        super().__init__(
            {"irq": Out(1), "recorded": RECORDED},
            config=config,
            dram_bytes=dram_bytes,
            host_bits=HOST_ADDRESS_BITS,
        )

    @property
    def setting(self) -> dict[str, Any]:
        """What another one like it is made with."""
        return {"config": self.config, "dram_bytes": self.dram_bytes}

    @property
    def title(self) -> str:
        """Names the folder that the bench is built in."""
        return f"Core-{self.config.name}"

    @property
    def sites(self) -> Mapping[Place, CoreSite]:
        """Where the core is."""
        site = CoreSite(
            window=0,
            scope="bench.core",
            dram="bench.dram",
            origin=0,
            recorder="bench.recorder",
            recorded="recorded",
        )
        return {LONE_CORE: site}

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # As in EngineBench: what everything depends on comes from a register.
        m.domains.sync = ClockDomain()
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(self.rst)
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(reset)]
        m.submodules.core = core = Core.from_config(self.config)
        connect(m, flipped(self.host), core.host)
        m.d.comb += self.irq.eq(core.irq)
        self.add_dram(m, "dram", core.dram)
        self.add_recorder(m, "recorder", core.working, self.recorded)
        return m
