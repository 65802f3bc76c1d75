"""A top for testing one engine: the engine with an SRAM, and random stalls, on each memory port."""

from __future__ import annotations

from amaranth import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.memory.nonzero import NonzeroMap
from backspike.hw.memory.port import ReadPort, WritePort
from backspike.hw.memory.sram import Sram

__all__ = ["SEED_FACTOR", "STALL_BITS", "EngineBench", "Staller"]

SEED_FACTOR = 40503
"""Numbers that differ little, times it, are seeds that differ in many of their 16 bits."""
STALL_BITS = 8
"""Bits of the stall probability: 0 never stalls, 255 all but always."""


class Staller(EmitOnce):
    """A stand-in for an arbiter: refuses accesses at random, with probability ``stall`` / 256.

    Members
    -------
    seed : In(16)
        Told apart per instance, so that ports do not stall together; sampled until ``run``.
    run : In(1)
        Low before the start of a test.
    stall : In(8)
    ready : Out(1)
    """

    def __init__(self):
        super().__init__({"seed": In(16), "run": In(1), "stall": In(STALL_BITS), "ready": Out(1)})

    def elaborate(self, platform):
        m = Module()
        state = Signal(16, init=1)
        with m.If(self.run):
            # x^16 + x^14 + x^13 + x^11 + 1, eight steps at once, so that samples are independent.
            bits = [state[i] for i in range(16)]
            for _ in range(STALL_BITS):
                bits = [*bits[1:], bits[0] ^ bits[2] ^ bits[3] ^ bits[5]]
            for i, bit in enumerate(bits):
                m.d.sync += state[i].eq(bit)
        with m.Else():
            m.d.sync += state.eq(self.seed)
        m.d.sync += self.ready.eq(state[:STALL_BITS] >= self.stall)
        return m


class EngineBench(EmitOnce):
    """An engine with its SRAMs, which a testbench fills and reads behind the hardware's back.

    The engine's members named ``<memory>_read`` and ``<memory>_write`` are connected to one SRAM
    per ``<memory>``; all its other members become the ports of the bench, beside ``stall``, but for
    streams, which lead nowhere.

    Parameters
    ----------
    engine : EmitOnce
    depths : dict of str to int
        Words of each memory.
    """

    _engine = Parameter[EmitOnce]()
    _depths = Parameter[tuple[tuple[str, int], ...]]()

    def __init__(self, engine: EmitOnce, depths: dict[str, int]):
        self._ports = {}
        members = {"clk": In(1), "rst": In(1), "stall": In(STALL_BITS)}
        for name, member in engine.signature.members.items():
            if member.is_signature and isinstance(member.signature, (ReadPort, WritePort)):
                self._ports[name] = member
            elif member.is_port:
                members[name] = member
        names = {name.rpartition("_")[0] for name in self._ports}
        if names != set(depths):
            raise ValueError(f"depths must name the memories {sorted(names)}, not {sorted(depths)}")
        super().__init__(members, engine=engine, depths=tuple(depths.items()))

    @property
    def module_name(self) -> str:
        """Always the same: a bench is only ever a top."""
        return "bench"

    @property
    def title(self) -> str:
        """Names the folder that the bench is built in."""
        return type(self._engine).__name__

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self._engine
        # What depends on an input is evaluated at every change of the clock, and nearly everything
        # depends on the reset and on the command. Those come from registers, therefore.
        m.domains.sync = ClockDomain()
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(self.rst)
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(reset)]
        for name in self.signature.members:
            if name in ("clk", "rst", "stall"):
                continue
            here, there = getattr(self, name), getattr(engine, name)
            if name == "command":
                m.d.sync += there.eq(here)
            elif self.signature.members[name].flow == In:
                m.d.comb += there.eq(here)
            else:
                m.d.comb += here.eq(there)
        for memory, depth in self._depths:
            read = self._ports.get(f"{memory}_read")
            write = self._ports.get(f"{memory}_write")
            width = (read or write).signature.members["data"].shape
            granules = write.signature.members["mask"].shape if write else 1
            if memory == "nonzero":
                # Follows a memory that is filled by the back door, so this one is, too.
                sram = NonzeroMap(depth=depth * width, pixels=width, lanes=1, width=2)
            else:
                sram = Sram(depth=depth, width=width, granules=granules)
            m.submodules[f"sram_{memory}"] = sram
            for name in ("read", "write"):
                if f"{memory}_{name}" not in self._ports:
                    continue
                there = getattr(sram, name)
                here = getattr(engine, f"{memory}_{name}")
                staller = Staller()
                m.submodules[f"stall_{memory}_{name}"] = staller
                m.d.comb += [
                    staller.seed.eq(sum(f"{memory}_{name}".encode()) * SEED_FACTOR % 65535 + 1),
                    staller.run.eq(self.running | self.start),
                    staller.stall.eq(self.stall),
                    here.ready.eq(staller.ready),
                    there.en.eq(here.en & staller.ready),
                    there.addr.eq(here.addr),
                ]
                if name == "read":
                    # Data of a refused access must not look right by chance.
                    held = Signal()
                    m.d.sync += held.eq(here.en & staller.ready)
                    with m.If(held):
                        m.d.comb += here.data.eq(there.data)
                    with m.Else():
                        m.d.comb += here.data.eq(~there.data)
                else:
                    m.d.comb += [there.data.eq(here.data), there.mask.eq(here.mask)]
        return m
