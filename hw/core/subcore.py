"""A sub-core: engines, the SRAMs that they share, and the controller that starts them."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out, connect, flipped

from backspike.hw.bp.engine import BpEngine
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.control.controller import TIMEOUT_BITS, Controller, Progress
from backspike.hw.core.status import SubCoreStatus
from backspike.hw.dma.arbiter import AxiReadArbiter
from backspike.hw.dma.axi import DRAM_BITS, AxiRead, AxiWrite
from backspike.hw.dma.read import DmaRead
from backspike.hw.dma.write import DmaWrite
from backspike.hw.engine import Engine
from backspike.hw.fp.engine import FpEngine
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import BOXES, INNER_ROUTES, ROUTES, SRAMS, Control, IsaShape
from backspike.hw.isa.units import NONZERO, UNIT_TABLE, UNITS
from backspike.hw.memory.nonzero import NonzeroMap
from backspike.hw.memory.port import WritePort
from backspike.hw.memory.shared import SharedSram
from backspike.hw.neuron.grad import GradEngine
from backspike.hw.neuron.soma import SomaEngine
from backspike.hw.neuron.update import UpdateEngine
from backspike.hw.noc.control import NocControl
from backspike.hw.noc.copy import CopyEngine
from backspike.hw.noc.flit import COORDINATE_BITS
from backspike.hw.noc.interface import NetworkInterface
from backspike.hw.noc.packet import NetworkPort
from backspike.hw.noc.table import ConnectionWrite, MeshSize
from backspike.hw.wg.engine import WgEngine

__all__ = ["SubCore"]

ENGINES = {
    "fp": FpEngine,
    "soma": SomaEngine,
    "bp": BpEngine,
    "wg": WgEngine,
    "grad": GradEngine,
    "wu": UpdateEngine,
}
"""The engine of each unit that computes."""
MOVERS = {"read": DmaRead, "write": DmaWrite, "noc": CopyEngine}
"""Those of the units that move data: both sub-cores have them, each for its own SRAMs."""


def _engines(config: ChipConfig, subcore: str) -> dict[str, Engine]:
    """The engine of each unit of a sub-core."""
    made: dict[str, Engine] = {
        name: mover.from_config(config, subcore) for name, mover in MOVERS.items()
    }
    for name, unit in UNIT_TABLE[subcore].items():
        if name not in made:
            if name not in ENGINES:
                raise ValueError(f"unit {name} must have an engine in ENGINES, which it has not")
            made[name] = ENGINES[name].from_config(config)
        if set(made[name].memory_ports) != set(unit.ports):
            raise ValueError(
                f"the row of unit {name} must have the ports of its engine, "
                f"{', '.join(made[name].memory_ports)}, not {', '.join(unit.ports)}"
            )
    return {name: made[name] for name in UNITS[subcore]}


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
    forget : In(1)
        Empty the message boxes, and forget the statuses that came with messages.
    clear_counters : In(1), <unit> : Out(struct of 40-bit counters)
    signals : Out(8), full : In(8)
        Messages for boxes of the other sub-core, and which of those are full.
    messages : In(8), messages_full : Out(8)
        The same the other way round.
    found : Out(1), other_found : In(1)
        Overflow or invalid is set here, or somewhere from where it was told; and the same of the
        other sub-core.
    x, y : In(4), extent : In(MeshSize)
        Where the core is in the whole mesh, and how large that is; constant.
    connect : In(1), entry : In(ConnectionWrite)
        To the table of connections.
    network : Out(NetworkPort)
    <sram>_out : Out(WritePort), <sram>_in : In(WritePort)
        What NOC_DATA writes in the other sub-core, and the other one in this.
    read_bus : Out(AxiRead), write_bus : Out(AxiWrite)

    Raises
    ------
    ValueError
        If a unit has no engine, or one with other ports than its row tells.
    """

    _config = Parameter[ChipConfig]()
    _subcore = Parameter[str]()

    def __init__(self, *, config: ChipConfig, subcore: str):
        self._engines = _engines(config, subcore)
        self._inward = self._ports_from(config, other := "bp" if subcore == "fp" else "fp", subcore)
        self._outward = self._ports_from(config, subcore, other)
        bus_bits = config.dram.bus_bits
        super().__init__(
            {
                "start": In(1),
                "program": In(DRAM_BITS),
                "origin": In(DRAM_BITS),
                "timeout": In(TIMEOUT_BITS),
                "status": Out(SubCoreStatus),
                "working": Out(len(self._engines)),
                "forget": In(1),
                "clear_counters": In(1),
                **{
                    unit: Out(engine.signature.members["counters"].shape)
                    for unit, engine in self._engines.items()
                },
                "signals": Out(BOXES),
                "full": In(BOXES),
                "messages": In(BOXES),
                "messages_full": Out(BOXES),
                "found": Out(1),
                "other_found": In(1),
                "x": In(COORDINATE_BITS),
                "y": In(COORDINATE_BITS),
                "extent": In(MeshSize),
                "connect": In(1),
                "entry": In(ConnectionWrite),
                "network": Out(NetworkPort(flit_bits=config.noc.flit_bits)),
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

    @property
    def outgoing(self) -> tuple[str, ...]:
        """SRAMs of the other sub-core that this one writes, each by a member ``<sram>_out``."""
        return tuple(self._outward)

    @staticmethod
    def _ports_from(config: ChipConfig, source: str, target: str) -> dict[str, WritePort]:
        """Ports by which NOC_DATA of ``source`` writes SRAMs of ``target``."""
        ports = {}
        for _, destination in ROUTES[source][: INNER_ROUTES[source]]:
            if destination.startswith(f"{target}."):
                size = config.srams[destination]
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
            controller.forget.eq(self.forget),
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
        self._memories(m, self._network(m, controller))

        m.submodules.bus = bus = AxiReadArbiter(clients=2, data_bits=self._config.dram.bus_bits)
        connect(m, controller.bus, bus.clients[0])
        connect(m, self._engines["read"].bus, bus.clients[1])
        connect(m, bus.bus, flipped(self.read_bus))
        connect(m, self._engines["write"].bus, flipped(self.write_bus))
        return m

    def _network(self, m: Module, controller: Controller):
        """The unit of NOC_DATA and NOC_CTRL, and what takes both out of the core."""
        copy, command = self._engines["noc"], controller.noc_command
        m.submodules.network_interface = network = NetworkInterface(
            config=self._config, subcore=self._subcore
        )
        m.submodules.noc_control = control = NocControl()
        running = controller.progress == Progress.RUNNING
        leaves, goes, refused = Signal(), Signal(), Signal()
        m.d.comb += [
            leaves.eq(
                Mux(
                    command.moves,
                    command.copy.flow != Flow.CORE.value,
                    command.flow_type >= Control.REMOTE_SIGNAL.value,
                )
            ),
            goes.eq(controller.noc_start & (network.connected | ~leaves)),
            copy.command.eq(command.copy),
            copy.start.eq(goes & command.moves),
            copy.pending.eq(network.pending),
            control.start.eq(goes & ~command.moves),
            control.flow_type.eq(command.flow_type),
            control.msg_box.eq(command.msg_box),
            control.running.eq(running),
            control.full.eq(self.full),
            control.pending.eq(network.pending),
            self.signals.eq(control.signals),
            controller.noc_done.eq(copy.done | control.done | refused),
            controller.error[list(self._engines).index("noc")].eq(refused),
            network.x.eq(self.x),
            network.y.eq(self.y),
            network.extent.eq(self.extent),
            network.write.eq(self.connect),
            network.entry.eq(self.entry),
            network.tag_id.eq(command.copy.tag_id),
            network.moves.eq(command.moves),
            network.route.eq(command.copy.route),
            network.asks.eq(control.asks),
            network.kind.eq(control.kind),
            network.box.eq(command.msg_box),
            network.found.eq(self.found | self.other_found),
            network.give_up.eq(control.give_up),
            network.full.eq(controller.full),
            network.messages.eq(self.messages),
            controller.signal.eq(self.messages | network.signal),
        ]
        connect(m, copy.network, network.words)
        connect(m, network.network, flipped(self.network))
        m.d.sync += refused.eq(controller.noc_start & leaves & ~network.connected)

        self._waits(m, controller, running, leaves)
        self._statuses(m, controller, network, control)
        return network

    def _waits(self, m: Module, controller: Controller, running, leaves) -> None:
        """What is waited for, for the host to read when that has lasted too long."""
        command = controller.noc_command
        at_work, waits = Signal(), self.status.waits
        m.d.sync += at_work.eq(controller.noc_start | (at_work & ~controller.noc_done))
        with m.If(running):
            m.d.sync += [
                waits.tag_id.eq(command.copy.tag_id),
                waits.answer.eq(at_work & leaves),
                waits.boxes.eq(controller.waiting),
            ]

    def _statuses(self, m: Module, controller: Controller, network, control: NocControl):
        """Overflow and invalid, of this sub-core and of those that have told of theirs."""
        received = Signal()
        clear = controller.begins | control.clears
        raised = {
            name: Cat(getattr(engine, name) for engine in self._engines.values()).any()
            for name in ("overflow", "invalid")
        }
        statuses = [(getattr(self.status, name), sets, clear) for name, sets in raised.items()]
        # What comes with a message is kept as messages are.
        statuses.append((received, network.received, self.forget | control.clears))
        for status, sets, clears in statuses:
            with m.If(sets):
                m.d.sync += status.eq(1)
            with m.Elif(clears):
                m.d.sync += status.eq(0)
        m.d.comb += self.found.eq(self.status.overflow | self.status.invalid | received)
        inhibited = [name for name, unit in UNIT_TABLE[self._subcore].items() if unit.inhibited]
        if inhibited:
            inhibit = Signal()
            with m.If(controller.begins):
                m.d.sync += inhibit.eq(0)
            with m.Elif(control.collects):
                m.d.sync += inhibit.eq(self.found | self.other_found)
            m.d.comb += [self._engines[name].command.inhibit.eq(inhibit) for name in inhibited]

    def _memories(self, m: Module, network: NetworkInterface):
        """An SRAM for each size, with the ports of all that read or write it."""
        reads: dict[str, list] = {name: [] for name in SRAMS[self._subcore]}
        writes: dict[str, list] = {name: [] for name in SRAMS[self._subcore]}
        for unit in UNIT_TABLE[self._subcore].values():
            engine = self._engines[unit.name]
            for name in engine.memory_ports:
                port, setting = getattr(engine, name), unit.ports[name]
                owner, _, sram = setting.partition(".")
                if owner != self._subcore:
                    connect(m, port, flipped(getattr(self, f"{sram}_out")))
                elif setting == NONZERO:
                    nonzero = port
                elif setting in unit.tile_rows:
                    writes[sram].append(self._rows(m, port))
                else:
                    (reads if name in unit.reads else writes)[sram].append(port)
        for name in self._inward:
            writes[name].append(flipped(getattr(self, f"{name}_in")))
        for name in network.incoming:
            writes[name].append(getattr(network, f"{name}_write"))
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
        """Rows of a tile, as a unit writes them, as parts of the words of the weight SRAM."""
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
