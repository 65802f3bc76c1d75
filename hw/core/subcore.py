"""A sub-core: engines, the SRAMs that they share, and the controller that starts them."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.bp.engine import BpEngine
from hw.component import EmitOnce
from hw.config import ChipConfig
from hw.control.controller import TIMEOUT_BITS, Controller, Progress
from hw.core.status import SubCoreStatus
from hw.dma.arbiter import AxiReadArbiter
from hw.dma.axi import ADDRESS_BITS as DRAM_BITS
from hw.dma.axi import AxiRead, AxiWrite
from hw.dma.read import DmaRead
from hw.dma.write import DmaWrite
from hw.engine import Engine
from hw.fp.engine import FpEngine
from hw.isa import BOXES, ROUTES, SRAMS, UNITS, Control, IsaShape
from hw.memory.nonzero import NonzeroMap
from hw.memory.port import WritePort
from hw.memory.shared import SharedSram
from hw.neuron.grad import GradEngine
from hw.neuron.soma import SomaEngine
from hw.neuron.update import UpdateEngine
from hw.noc.copy import CopyEngine
from hw.wg.engine import WgEngine

__all__ = ["SubCore"]

COMPUTES = {
    "fp": FpEngine,
    "soma": SomaEngine,
    "bp": BpEngine,
    "wg": WgEngine,
    "grad": GradEngine,
    "wu": UpdateEngine,
}
"""Engines that compute, by the name of their unit."""
MEMORIES = {
    "fp": {"conv": "conv_fp"},
    "soma": {"conv": "conv_fp"},
    "bp": {"du": "du_next", "fire": "s", "conv": "conv_bp"},
    "wg": {"spike": "s", "du": "du_next"},
    "grad": {"conv": "conv_bp"},
    "wu": {"w": "dw", "v": "dw", "stored": "w"},
}
"""The SRAM behind a memory of an engine, where it has another name there."""


def _port(sram: str) -> str:
    """Name of the port to an SRAM that is given as a setting, e.g. ``bp.s``."""
    return sram.replace(".", "_")


def _engines(config: ChipConfig, subcore: str) -> dict[str, Engine]:
    """The engine of each unit of a sub-core."""
    sizes = {name: config.srams[f"{subcore}.{name}"] for name in SRAMS[subcore]}
    memories = tuple((name, size.width, size.granules) for name, size in sizes.items())
    routes = []
    for source, destination in ROUTES[subcore]:
        size = config.srams[destination]
        routes.append((source, _port(destination), size.width, size.granules))
    made: dict[str, Engine] = {}
    for unit in UNITS[subcore]:
        if unit in COMPUTES:
            made[unit] = COMPUTES[unit].from_config(config)
    dram = {
        "bus_bits": config.dram.bus_bits,
        "burst_beats": config.dram.burst_beats,
        "outstanding": config.dram.outstanding,
    }
    made["read"] = DmaRead(memories=memories, **dram)
    made["write"] = DmaWrite(memories=memories, **dram)
    made["noc"] = CopyEngine(routes=tuple(routes))
    return made


class SubCore(EmitOnce):
    """One half of a core.

    Parameters
    ----------
    config : ChipConfig
    subcore : str
        ``fp`` or ``bp``.

    Members
    -------
    start : In(1), program, origin : In(40), timeout : In(32)
        Run the program at ``program`` in DRAM; addresses of the DMA count from ``origin``.
    status : Out(SubCoreStatus)
    working : Out(len(UNITS[subcore]))
        The units that are at work on an instruction, in their order; waiting messages apart.
    clear_counters : In(1), <unit> : Out(struct of 40-bit counters)
    signals : Out(8), full : In(8)
        Messages for boxes of the other sub-core, and which of those are full.
    messages : In(8), messages_full : Out(8)
        The same the other way round.
    other_status : In(1)
        The other sub-core has set overflow or invalid.
    <sram>_out : Out(WritePort), <sram>_in : In(WritePort)
        What NOC_DATA writes in the other sub-core, and the other one in this.
    read_bus : Out(AxiRead), write_bus : Out(AxiWrite)
    """

    def __init__(self, *, config: ChipConfig, subcore: str):
        self._config = config
        self._subcore = subcore
        self._engines = _engines(config, subcore)
        self._inward = self._ports_from(other := "bp" if subcore == "fp" else "fp", subcore)
        self._outward = self._ports_from(subcore, other)
        bus_bits = config.dram.bus_bits
        super().__init__(
            {
                "start": In(1),
                "program": In(DRAM_BITS),
                "origin": In(DRAM_BITS),
                "timeout": In(TIMEOUT_BITS),
                "status": Out(SubCoreStatus),
                "working": Out(len(self._engines)),
                "clear_counters": In(1),
                **{
                    unit: Out(engine.signature.members["counters"].shape)
                    for unit, engine in self._engines.items()
                },
                "signals": Out(BOXES),
                "full": In(BOXES),
                "messages": In(BOXES),
                "messages_full": Out(BOXES),
                "other_status": In(1),
                **{f"{sram}_out": Out(port) for sram, port in self._outward.items()},
                **{f"{sram}_in": In(port) for sram, port in self._inward.items()},
                "read_bus": Out(AxiRead(data_bits=bus_bits, id_bits=1)),
                "write_bus": Out(AxiWrite(data_bits=bus_bits)),
            },
            config=config,
            subcore=subcore,
        )

    @property
    def name(self) -> str:
        """``fp`` or ``bp``."""
        return self._subcore

    def _ports_from(self, source: str, target: str) -> dict[str, WritePort]:
        """Ports by which NOC_DATA of ``source`` writes SRAMs of ``target``."""
        ports = {}
        for _, destination in ROUTES[source]:
            if destination.startswith(f"{target}."):
                size = self._config.srams[destination]
                port = WritePort(width=size.width, granules=size.granules)
                ports[destination.partition(".")[2]] = port
        return ports

    def elaborate(self, platform):
        m = Module()
        subcore = self._subcore
        m.submodules.controller = controller = Controller(
            shape=IsaShape.from_config(self._config),
            subcore=subcore,
            bus_bits=self._config.dram.bus_bits,
        )
        m.d.comb += [
            controller.start.eq(self.start),
            controller.program.eq(self.program),
            controller.timeout.eq(self.timeout),
            controller.signal.eq(self.messages),
            self.messages_full.eq(controller.full),
            self.status.progress.eq(controller.progress),
            self.status.fault.eq(controller.fault),
            self.status.position.eq(controller.position),
        ]
        for number, (unit, engine) in enumerate(self._engines.items()):
            m.submodules[f"unit_{unit}"] = engine
            m.d.comb += [
                engine.clear_counters.eq(self.clear_counters),
                getattr(self, unit).eq(engine.counters),
                self.working[number].eq(engine.running),
            ]
            if unit in ("read", "write"):
                m.d.comb += [
                    engine.origin.eq(self.origin),
                    controller.error[number].eq(engine.error),
                ]
            if unit == "noc":
                continue
            m.d.comb += [
                engine.start.eq(getattr(controller, f"{unit}_start")),
                engine.command.eq(getattr(controller, f"{unit}_command")),
                getattr(controller, f"{unit}_done").eq(engine.done),
            ]
        self._control(m, controller)
        self._memories(m)

        m.submodules.bus = bus = AxiReadArbiter(clients=2, data_bits=self._config.dram.bus_bits)
        connect(m, controller.bus, bus.clients[0])
        connect(m, self._engines["read"].bus, bus.clients[1])
        connect(m, bus.bus, flipped(self.read_bus))
        connect(m, self._engines["write"].bus, flipped(self.write_bus))
        return m

    def _control(self, m: Module, controller: Controller):
        """NOC_CTRL, which shares its unit with the copies of NOC_DATA, and the statuses."""
        copy, command = self._engines["noc"], controller.noc_command
        asked, given_up = Signal(), Signal()
        flow = command.flow_type
        box = Signal(BOXES)
        acts, waits = Signal(), Signal()
        m.d.comb += [
            copy.command.eq(command.copy),
            copy.start.eq(controller.noc_start & command.moves),
            box.eq(1 << command.msg_box),
            waits.eq((flow == Control.SIGNAL.value) & (box & self.full).any()),
            acts.eq(asked & ~waits & ~given_up),
            # A message that has found no room until the program stopped is not sent any more.
            given_up.eq(asked & (controller.progress != Progress.RUNNING)),
            controller.noc_done.eq(copy.done | acts | given_up),
            self.signals.eq(Mux(acts & (flow == Control.SIGNAL.value), box, 0)),
        ]
        m.d.sync += asked.eq((controller.noc_start & ~command.moves) | (asked & ~acts & ~given_up))

        clear = controller.begins | (acts & (flow == Control.CLEAR.value))
        for name in ("overflow", "invalid"):
            raised = Cat(getattr(engine, name) for engine in self._engines.values()).any()
            status = getattr(self.status, name)
            with m.If(raised):
                m.d.sync += status.eq(1)
            with m.Elif(clear):
                m.d.sync += status.eq(0)
        if "wu" in self._engines:
            found = Signal()
            with m.If(controller.begins):
                m.d.sync += found.eq(0)
            with m.Elif(acts & (flow == Control.COLLECT.value)):
                own = self.status.overflow | self.status.invalid
                m.d.sync += found.eq(own | self.other_status)
            m.d.comb += self._engines["wu"].command.inhibit.eq(found)

    def _memories(self, m: Module):
        """An SRAM for each size, with the ports of all that read or write it."""
        reads: dict[str, list] = {name: [] for name in SRAMS[self._subcore]}
        writes: dict[str, list] = {name: [] for name in SRAMS[self._subcore]}
        outward = {f"{'bp' if self._subcore == 'fp' else 'fp'}_{name}" for name in self._outward}
        for unit, engine in self._engines.items():
            for name in engine.memory_ports:
                memory, _, kind = name.rpartition("_")
                sram = MEMORIES.get(unit, {}).get(memory, memory)
                port = getattr(engine, name)
                if sram in outward:
                    connect(m, port, flipped(getattr(self, f"{sram[3:]}_out")))
                elif sram == "nonzero":
                    nonzero = port
                elif unit == "wu" and memory == "stored":
                    writes[sram].append(self._rows(m, port))
                else:
                    sram = sram.removeprefix(f"{self._subcore}_")
                    (reads if kind == "read" else writes)[sram].append(port)
        for name in self._inward:
            writes[name].append(flipped(getattr(self, f"{name}_in")))
        for name in SRAMS[self._subcore]:
            size = self._config.srams[f"{self._subcore}.{name}"]
            m.submodules[f"sram_{name}"] = sram = SharedSram(
                words=size.words,
                width=size.width,
                granules=size.granules,
                banks=size.banks,
                tap=name == "du_next",
                reads=len(reads[name]),
                writes=len(writes[name]),
            )
            for number, port in enumerate(reads[name]):
                connect(m, port, sram.reads[number])
            for number, port in enumerate(writes[name]):
                connect(m, port, sram.writes[number])
            if name == "du_next":
                array = self._config.array
                m.submodules.nonzero = bits = NonzeroMap(
                    depth=size.words,
                    pixels=array.spike_pixels,
                    lanes=array.lanes,
                    width=self._config.format.width,
                )
                m.d.comb += [
                    bits.write.eq(sram.stored_en),
                    bits.write_addr.eq(sram.stored_addr),
                    bits.write_data.eq(sram.stored_data),
                ]
                connect(m, nonzero, bits.read)

    def _rows(self, m: Module, port):
        """Rows of a tile, as WU writes them, as parts of the words of the weight SRAM."""
        rows = self._config.array.weight_words
        size = self._config.srams["bp.w"]
        wide = WritePort(width=size.width, granules=size.granules).create(path=("stored",))
        part = Signal(range(max(2, rows)))
        m.d.comb += [
            part.eq(port.addr % rows),
            port.ready.eq(wide.ready),
            wide.en.eq(port.en),
            wide.addr.eq(port.addr // rows),
            wide.data.eq(port.data.replicate(rows)),
            wide.mask.eq(port.mask << (part * self._config.array.lanes)),
        ]
        return wide
