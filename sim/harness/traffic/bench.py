"""A top with a network and its traffic, and what a cocotb testbench drives it with."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from amaranth import (
    Array,
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib.wiring import In, Out, Signature, connect
from amaranth.utils import ceil_log2
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.noc.crossing import Crossing
from backspike.hw.noc.mesh import RouterMesh
from backspike.hw.noc.route import Endpoint
from backspike.sim.harness.bench import STALL_BITS
from backspike.sim.harness.traffic.packet import (
    COUNT_BITS,
    FAULT_BITS,
    LENGTH_BITS,
    PAYLOAD_BITS,
    RESULTS,
    TIME_BITS,
    InjectedFault,
    Pattern,
)
from backspike.sim.harness.traffic.sink import TrafficSink
from backspike.sim.harness.traffic.source import TrafficSource

__all__ = ["Load", "TrafficBench", "TrafficDriver"]

QUIET_BITS = 10
"""After so many cycles, to the power of two, without a flit all is taken to have ended."""

_RESULTS = Signature(
    {**RESULTS.members, "sent_packets": Out(COUNT_BITS), "sent_flits": Out(COUNT_BITS)}
)


class TrafficBench(EmitOnce):
    """A network with a source and a sink at each of its local ports.

    Parameters
    ----------
    columns, rows : int
        Cores of the mesh, powers of two.
    depth : int
        Flits of each queue of the routers.
    crossing : int
        Flits of the asynchronous queues at the local ports. With 0 there are none, and sources and
        sinks have the clock of the network, ``clk``.
    """

    columns = Parameter[int]()
    rows = Parameter[int]()
    depth = Parameter[int]()
    crossing = Parameter[int]()

    def __init__(self, *, columns: int, rows: int, depth: int, crossing: int = 0):
        self.places = [
            Endpoint(x, y, port) for y, x, port in product(range(rows), range(columns), range(2))
        ]
        super().__init__(
            {
                "clk": In(1),
                "noc_clk": In(1),
                "rst": In(1),
                "run": In(1),
                "active": In(1),
                "count": In(1),
                "pattern": In(3),
                "rate": In(16),
                "least": In(LENGTH_BITS),
                "spread": In(LENGTH_BITS),
                "idle": In(STALL_BITS),
                "stall": In(STALL_BITS),
                "fault": In(FAULT_BITS),
                "which": In(ceil_log2(len(self.places))),
                "results": Out(_RESULTS),
                "quiet": Out(1),
            },
            columns=columns,
            rows=rows,
            depth=depth,
            crossing=crossing,
        )

    @property
    def module_name(self) -> str:
        """Always the same: a bench is only ever a top."""
        return "bench"

    @property
    def title(self) -> str:
        """Names the folder that the bench is built in."""
        return f"Noc-{self.columns}x{self.rows}"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        domains = self._clocks(m)
        network = RouterMesh(
            rows=self.rows, columns=self.columns, payload_bits=PAYLOAD_BITS, depth=self.depth
        )
        m.submodules.network = DomainRenamer(domains)(network)

        settings = {}
        for name in ("run", "active", "count", "pattern", "rate", "least", "spread", "idle"):
            settings[name] = Signal.like(getattr(self, name), name=f"{name}_now")
            m.d.sync += settings[name].eq(getattr(self, name))
        now = Signal(TIME_BITS)
        m.d.sync += now.eq(now + 1)
        settings["now"] = now
        busy, moves = [], []
        results: dict[str, list] = {result: [] for result in _RESULTS.members}
        for place in self.places:
            name = f"{place.x}_{place.y}_{place.port}"
            source = TrafficSource(columns=self.columns, rows=self.rows)
            sink = TrafficSink(columns=self.columns, rows=self.rows)
            m.submodules[f"source_{name}"] = source
            m.submodules[f"sink_{name}"] = sink
            for unit in (source, sink):
                m.d.comb += [
                    unit.here.x.eq(place.x),
                    unit.here.y.eq(place.y),
                    unit.here.port.eq(place.port),
                    *(
                        getattr(unit, member).eq(value)
                        for member, value in settings.items()
                        if member in unit.signature.members
                    ),
                ]
            m.d.comb += [sink.stall.eq(self.stall), sink.fault.eq(self.fault)]
            there = network.i[place.y][place.x][place.port]
            here = network.o[place.y][place.x][place.port]
            self._cross(m, f"to_{name}", source.o, there, {"write": "sync", "read": "noc"})
            self._cross(m, f"from_{name}", here, sink.i, {"write": "noc", "read": "sync"})
            busy.append(source.busy)
            moves.append(sink.i.valid)
            for result in RESULTS.members:
                results[result].append(getattr(sink.results, result))
            results["sent_packets"].append(source.packets)
            results["sent_flits"].append(source.flits)
        for result, values in results.items():
            m.d.sync += getattr(self.results, result).eq(Array(values)[self.which])
        still = Signal(QUIET_BITS + 1)
        with m.If(self.active | Cat(busy, moves).any()):
            m.d.sync += still.eq(0)
        with m.Elif(~self.quiet):
            m.d.sync += still.eq(still + 1)
        m.d.comb += self.quiet.eq(still[-1])
        return m

    def _clocks(self, m: Module) -> dict[str, str]:
        """Makes the clock domains; returns how the network's own is renamed."""
        # As in EngineBench: what everything depends on comes from registers.
        m.domains.sync = ClockDomain()
        m.d.comb += ClockSignal().eq(self.clk)
        domains = {"sync": "sync"}
        if self.crossing:
            m.domains.noc = ClockDomain()
            m.d.comb += ClockSignal("noc").eq(self.noc_clk)
            domains = {"sync": "noc"}
        for domain in dict.fromkeys(("sync", *domains.values())):
            reset = Signal(reset_less=True, name=f"{domain}_reset")
            m.d[domain] += reset.eq(self.rst)
            m.d.comb += ResetSignal(domain).eq(reset)
        return domains

    def _cross(
        self, m: Module, name: str, source: Any, target: Any, domains: dict[str, str]
    ) -> None:
        """Joins two streams whose clocks differ, if there are two clocks."""
        if not self.crossing:
            connect(m, source, target)
            return
        crossing = Crossing(payload_bits=PAYLOAD_BITS, depth=self.crossing)
        m.submodules[name] = DomainRenamer(domains)(crossing)
        connect(m, source, crossing.i)
        connect(m, crossing.o, target)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What the sources of a bench do."""

    pattern: Pattern
    rate: float
    """Flits that a source makes in a cycle on average; at most as many packets as cycles."""
    least: int = 1
    """Flits of the shortest packet."""
    spread: int = 0
    """Flits are up to so many more, of 0, 1, 3, 7, 15 or 31."""
    idle: int = 0
    stall: int = 0
    """Of 256: how often a source waits in front of a flit, and a sink takes none."""

    @property
    def mean_length(self) -> float:
        """Flits of a packet."""
        return self.least + self.spread / 2


class TrafficDriver:
    """Sets a bench to work, and reads what was counted.

    Parameters
    ----------
    dut
        cocotb's handle of the bench.
    bench : TrafficBench
        What it was made from.
    periods : (int, int)
        Picoseconds of the clocks of sources and sinks, and of the network.
    """

    def __init__(self, dut: Any, bench: TrafficBench, periods: tuple[int, int] = (1000, 1000)):
        self._dut = dut
        self._places = bench.places
        self._crossing = bool(bench.crossing)
        self._periods = periods

    async def start(self) -> None:
        """Starts the clocks, and resets the bench."""
        dut = self._dut
        names = ("run", "active", "count", "pattern", "rate", "least", "spread", "idle", "stall")
        for name in (*names, "fault", "which"):
            getattr(dut, name).value = 0
        dut.rst.value = 1
        clocks = (dut.clk, dut.noc_clk) if self._crossing else (dut.clk,)
        for clock, period in zip(clocks, self._periods, strict=False):
            Clock(clock, period, unit="ps", impl="gpi", period_high=period // 2).start()
            await Timer(period // 3, unit="ps")  # their edges need not coincide
        await self.wait(20)
        dut.rst.value = 0
        dut.run.value = 1
        await self.wait(20)

    async def wait(self, cycles: int) -> None:
        """Lets cycles of the sources' clock go by."""
        await Timer(cycles * self._periods[0], unit="ps")
        await FallingEdge(self._dut.clk)

    async def load(self, load: Load) -> None:
        """From now on, sources make packets like that."""
        dut = self._dut
        dut.pattern.value = int(load.pattern)
        dut.rate.value = min(65535, round(65536 * load.rate / load.mean_length))
        dut.least.value, dut.spread.value = load.least - 1, load.spread
        dut.idle.value, dut.stall.value = load.idle, load.stall
        dut.active.value = 1
        await FallingEdge(dut.clk)

    async def drain(self, limit: int = 100_000) -> None:
        """Ends the making of packets, and waits until nothing moves any more.

        Raises
        ------
        TimeoutError
            If some are still under way after ``limit`` cycles.
        """
        dut = self._dut
        dut.active.value = 0
        for _ in range(3):
            await FallingEdge(dut.clk)
        if not int(dut.quiet.value):
            await First(RisingEdge(dut.quiet), Timer(limit * self._periods[0], unit="ps"))
        if not int(dut.quiet.value):
            raise TimeoutError(f"packets are still under way after {limit} cycles")

    async def count(self, cycles: int) -> None:
        """Lets sinks count for so many cycles."""
        self._dut.count.value = 1
        await self.wait(cycles)
        self._dut.count.value = 0
        await self.wait(2)

    async def fault(self, fault: InjectedFault, cycles: int) -> None:
        """Does something to all that comes to a sink for so many cycles."""
        self._dut.fault.value = int(fault)
        await self.wait(cycles)
        self._dut.fault.value = 0

    async def results(self) -> dict[Endpoint, dict[str, int]]:
        """What source and sink at each place have counted since the start."""
        found = {}
        for number, place in enumerate(self._places):
            self._dut.which.value = number
            # The write takes effect behind the edge that this is at, and the results a cycle later.
            await FallingEdge(self._dut.clk)
            await FallingEdge(self._dut.clk)
            found[place] = {
                name: int(getattr(self._dut, f"results__{name}").value) for name in _RESULTS.members
            }
        return found
