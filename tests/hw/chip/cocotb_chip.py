"""The chip against its model: what cores send each other arrives, in full and nowhere else."""

from __future__ import annotations

from typing import Any

import cocotb

from backspike.compiler.assembling.program import Program
from backspike.compiler.lowering.layout import Layout
from backspike.compiler.lowering.neuron import ElementOperands, NeuronArea
from backspike.hw.arith.format import BINARY16
from backspike.hw.core.connection import Connection
from backspike.hw.isa.instruction import Fault
from backspike.hw.isa.neuron.command import Operation, Source
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import BOX_MESSAGES, OWN_ROUTES, ROUTES, UNITS, Control
from tests.hw.chip.bench import Bench


class _Draw:
    """Draws NOC_DATA of one sub-core; each writes to a part of SRAMs that is its own.

    Parameters
    ----------
    number : int
        Of the sub-core, among all of them.
    """

    def __init__(self, bench: Bench, subcore: str, number: int):
        self._bench, self._subcore, self._number = bench, subcore, number
        self._random, self._sizes = bench.random, bench.config.srams

    def _whole(self, low: int, high: int) -> int:
        return int(self._random.integers(low, high + 1))

    def _part(self, sram: str) -> tuple[int, int]:
        """First word and words of what this sub-core writes in an SRAM, of whatever core."""
        # Psums are read in the lower half and written in the upper one.
        low = self._sizes[sram].words // 2 if "conv" in sram else 0
        size = (self._sizes[sram].words - low) // len(self._bench.subcores)
        return low + size * self._number, size

    def flow(self, flow: Flow, route: int, tag: int) -> dict[str, int]:
        """Operands of rows as long as they can be, at random places and distances."""
        here, there = ROUTES[self._subcore][route]
        own = there
        if flow is Flow.MULTICAST:
            own = ROUTES[self._subcore][OWN_ROUTES[self._subcore][route]][1]
        (first, room), (own_first, own_room) = self._part(there), self._part(own)
        source_room = self._sizes[f"{self._subcore}.{here}"].words // (2 if "conv" in here else 1)
        rows = self._whole(1, min(5, room, own_room))
        words = self._whole(1, min(room, own_room, source_room) // rows)

        def place(first: int, room: int) -> tuple[int, int]:
            step = self._whole(words, (room - words) // (rows - 1)) if rows > 1 else 0
            down = bool(self._random.integers(2))
            base = first + self._whole(0, room - words - (rows - 1) * step)
            return (base + (rows - 1) * step, -step) if down else (base, step)

        operands = {
            "flow_type": flow.value,
            "data_type": route,
            "tag_id": tag,
            "words": words,
            "rows": rows,
        }
        operands["source"], operands["source_row"] = place(0, source_room)
        operands["destination"], operands["destination_row"] = place(first, room)
        if flow is Flow.MULTICAST:
            operands["own"], operands["own_row"] = place(own_first, own_room)
        return operands


@cocotb.test()
async def words_arrive(dut: Any) -> None:
    """Every route, as UNICAST and MULTICAST, from all sub-cores at once to any others."""
    bench = await Bench.started(dut, 0)
    for case in range(6):
        bench.change_conditions(calm=not case)
        programs, connections = {}, {}
        for number, (place, subcore) in enumerate(bench.subcores):
            draw = _Draw(bench, subcore, number)
            program, tags = bench.program(subcore), {}
            routes = ROUTES[subcore]
            flows = [(Flow.UNICAST, route) for route in range(len(routes))]
            flows += [(Flow.MULTICAST, route) for route in range(len(OWN_ROUTES[subcore]))]
            bench.random.shuffle(flows)
            for tag, (flow, route) in enumerate(flows):
                # Two ways to the same part of an SRAM would be a race.
                targets = [each for each in bench.places if flow is Flow.UNICAST or each != place]
                target = targets[bench.random.integers(len(targets))]
                end = routes[route][1].partition(".")[0]
                tags[tag] = Connection(place=target, subcore=end)
                program.add("NOC_DATA", draw.flow(flow, route, tag), reason=f"to {target}")
            program.end()
            programs[place, subcore] = program
            connections[place, subcore] = tags
        await bench.run(programs, connections, f"case {case}")
    print(f"{bench.cycles} cycles")


@cocotb.test()
async def messages_follow_words(dut: Any) -> None:
    """Psums go from core to core; each waits for a message that they are there."""
    bench = await Bench.started(dut, 1)
    words, laps = 40, 3
    for case in range(2):
        bench.change_conditions(calm=not case)
        programs, connections = {}, {}
        for subcore in UNITS:
            ring = list(bench.places)
            bench.random.shuffle(ring)
            route = len(ROUTES[subcore]) - 1
            for at, place in enumerate(ring):
                program = bench.program(subcore)
                following = ring[(at + 1) % len(ring)]
                connections[place, subcore] = {5: Connection(place=following, subcore=subcore)}
                for lap in range(laps):
                    step = lap * len(ring) + at
                    if step:
                        program.barrier("noc", boxes=[lap % 2], reason="psums have come")
                    flow = {
                        "flow_type": Flow.UNICAST.value,
                        "data_type": route,
                        "tag_id": 5,
                        "source": step,
                        "destination": step + 1,
                        "words": words,
                    }
                    program.add("NOC_DATA", flow, reason="one word further")
                    box = lap % 2 if at + 1 < len(ring) else (lap + 1) % 2
                    message = {
                        "flow_type": Control.REMOTE_SIGNAL.value,
                        "tag_id": 5,
                        "msg_box": box,
                    }
                    program.add("NOC_CTRL", message, reason="psums are there")
                program.end()
                programs[place, subcore] = program
        await bench.run(programs, connections, f"case {case}")
    print(f"{bench.cycles} cycles")


def _signal(program: Program, tag: int, box: int, flow: Control = Control.REMOTE_SIGNAL) -> None:
    message = {"flow_type": flow.value, "tag_id": tag, "msg_box": box}
    program.add("NOC_CTRL", message, reason="")


@cocotb.test()
async def full_boxes_hold_messages_back(dut: Any) -> None:
    """More messages than a box holds, from all others at once; none is lost."""
    bench = await Bench.started(dut, 2)
    target, receiver = bench.places[-1], "bp"
    senders = [each for each in bench.subcores if each != (target, receiver)]
    count = BOX_MESSAGES + 3
    programs, connections = {}, {}
    for place, subcore in senders:
        program = bench.program(subcore)
        for _ in range(count):
            if place == target:
                program.add("NOC_CTRL", {"msg_box": 3}, reason="within the core")
            else:
                _signal(program, 0, 3)
        program.end()
        programs[place, subcore] = program
        connections[place, subcore] = {0: Connection(place=target, subcore=receiver)}
    program = bench.program(receiver)
    copy = {"words": 1, "rows": 1}
    with program.loop(count, reason="as many from each"):
        for number in range(len(senders)):
            program.barrier("noc", boxes=[3], reason="one message")
            operands = {**copy, "source": number % 7, "destination": 8 + number % 5}
            program.add("NOC_DATA", operands, reason="takes time")
    # All have been taken: there is none left.
    program.barrier("noc", boxes=[3], reason="there is none")
    program.add("NOC_DATA", copy, reason="never starts")
    program.end()
    programs[target, receiver] = program
    # Senders are refused again and again: who gets the next place is chance.
    outcomes = await bench.run(programs, connections, "full boxes", timeout=1 << 15)
    found = outcomes[target][receiver]
    assert (found.fault, found.boxes, found.tag) == (Fault.TIMEOUT, 1 << 3, None)


@cocotb.test()
async def wrong_use_stops_the_sender(dut: Any) -> None:
    """Nothing is written, and the status says what is wrong where."""
    bench = await Bench.started(dut, 3)
    here, there = bench.places[0], bench.places[-1]
    columns = max(x for x, _ in bench.places) + 1
    ends = {
        0: Connection(place=there, subcore="fp"),
        1: Connection(place=there, subcore="bp"),
        2: Connection(place=(columns, 0), subcore="fp"),
        3: Connection(place=(0, 15), subcore="fp"),
    }
    tags = bench.config.noc.connections
    data = {"flow_type": Flow.UNICAST.value, "words": 3}
    cases = {
        "no connection": ("NOC_DATA", {**data, "tag_id": 9}, Fault.CONNECTION),
        "no such tag": ("NOC_DATA", {**data, "tag_id": tags}, Fault.CONNECTION),
        "the last tag": ("NOC_DATA", {**data, "tag_id": 255}, Fault.CONNECTION),
        "the wrong sub-core": ("NOC_DATA", {**data, "tag_id": 1}, Fault.CONNECTION),
        "east of the mesh": ("NOC_DATA", {**data, "tag_id": 2}, Fault.CONNECTION),
        "south of the mesh": ("NOC_DATA", {**data, "tag_id": 3}, Fault.CONNECTION),
        "a message to nobody": (
            "NOC_CTRL",
            {"flow_type": Control.REMOTE_SIGNAL.value, "tag_id": 9},
            Fault.CONNECTION,
        ),
        "statuses to nobody": (
            "NOC_CTRL",
            {"flow_type": Control.REMOTE_COLLECT.value, "tag_id": 2},
            Fault.CONNECTION,
        ),
        "a MULTICAST": (
            "NOC_DATA",
            {**data, "flow_type": Flow.MULTICAST.value, "tag_id": 2, "own": 5},
            Fault.CONNECTION,
        ),
    }
    for what, (mnemonic, operands, fault) in cases.items():
        program = bench.program("fp")
        program.add("NOC_DATA", {**data, "tag_id": 0, "destination": 9}, reason="goes well")
        position = program.add(mnemonic, operands, reason=what)
        program.add("NOC_DATA", {**data, "tag_id": 0, "destination": 40}, reason="does nothing")
        program.end()
        found = await bench.run({(here, "fp"): program}, {(here, "fp"): ends}, what)
        assert (found[here]["fp"].fault, found[here]["fp"].position) == (fault, position), what

    # What programs cannot be built with: words beyond the SRAM at the other end, or the own one.
    other, own = (bench.config.srams[name].words for name in ("fp.s_in", "bp.s"))
    for flow, operand, value in (
        (Flow.UNICAST, "destination", other - 2),
        (Flow.UNICAST, "words", other + 1),
        (Flow.MULTICAST, "destination", other - 2),
        (Flow.MULTICAST, "own", own - 2),
    ):
        program = bench.program("fp")
        operands = {**data, "flow_type": flow.value, "tag_id": 0}
        position = program.add("NOC_DATA", operands, reason="too much")
        program.words[program.word_of(position, operand)] = value
        program.end()
        what = f"{flow}, {operand}={value}"
        found = await bench.run({(here, "fp"): program}, {(here, "fp"): ends}, what)
        outcome = found[here]["fp"]
        assert (outcome.fault, outcome.position) == (Fault.ADDRESS, position), what


@cocotb.test()
async def time_out_names_the_tag(dut: Any) -> None:
    """A message for a box that nobody empties."""
    bench = await Bench.started(dut, 4)
    here, there = bench.places[0], bench.places[-1]
    program = bench.program("bp")
    for _ in range(BOX_MESSAGES + 1):
        _signal(program, 6, 2)
    program.end()
    connections = {(here, "bp"): {6: Connection(place=there, subcore="fp")}}
    found = await bench.run({(here, "bp"): program}, connections, "time-out", timeout=2000)
    assert (found[here]["bp"].fault, found[here]["bp"].tag) == (Fault.TIMEOUT, 6)
    # What was given up does not disturb what comes next.
    program = bench.program("bp")
    _signal(program, 6, 1)
    data = {"flow_type": Flow.UNICAST.value, "data_type": 1, "tag_id": 6, "words": 20}
    program.add("NOC_DATA", data, reason="goes well")
    program.end()
    found = await bench.run({(here, "bp"): program}, connections, "behind it")
    assert found[here]["bp"].fault is Fault.NONE


@cocotb.test()
async def host_stores_programs(dut: Any) -> None:
    """Equal programs are written once for all cores, which do the same with other connections."""
    bench = await Bench.started(dut, 5)
    programs, connections = {}, {}
    for number, place in enumerate(bench.places):
        for subcore in UNITS:
            program = bench.program(subcore)
            data = {"flow_type": Flow.UNICAST.value, "tag_id": 1, "words": 11, "destination": 99}
            data["data_type"] = len(ROUTES[subcore]) - 1
            program.add("NOC_DATA", data, reason="psums for the next core")
            program.end()
            programs[place, subcore] = program
            following = bench.places[(number + 1) % len(bench.places)]
            connections[place, subcore] = {1: Connection(place=following, subcore=subcore)}
    await bench.run(programs, connections, "by the host", by_host=True)
    registers = bench.driver.registers[bench.places[-1]]
    await registers.write("memory_address", 0)
    words = programs[bench.places[-1], "fp"].words
    assert [await registers.read("memory_data") for _ in words] == words


@cocotb.test()
async def statuses_reach_all_cores(dut: Any) -> None:
    """An overflow in one core keeps WU of all others from doing anything; CLEAR lets it."""
    bench = await Bench.started(dut, 6)
    last = len(bench.places) - 1
    for sums_of in (None, 0, last):
        for clears in (False, True):
            programs, connections = {}, {}
            for number, place in enumerate(bench.places):
                ends = {}
                for tag, other in ((0, number - 1), (1, number + 1)):
                    if 0 <= other <= last:
                        ends[tag] = Connection(place=bench.places[other], subcore="bp")
                connections[place, "bp"] = ends
                program = bench.program("bp")
                if number == sums_of:
                    _overflow(bench, program)
                # Statuses go down the row of cores, and up again.
                units = UNITS["bp"]
                program.barrier("noc", after=units, reason="all is done")
                collect = Control.REMOTE_COLLECT
                if number:
                    program.barrier("noc", boxes=[0], reason="statuses of those in front")
                if number < last:
                    _signal(program, 1, 0, collect)
                    program.barrier("noc", boxes=[1], reason="statuses of all")
                if number:
                    _signal(program, 0, 1, collect)
                flows = [Control.CLEAR, Control.COLLECT] if clears else [Control.COLLECT]
                for flow in flows:
                    program.add("NOC_CTRL", {"flow_type": flow.value}, reason="")
                program.barrier("wu", after="noc", reason="statuses are collected")
                _update(program)
                program.end()
                programs[place, "bp"] = program
            await bench.run(programs, connections, f"overflow in core {sums_of}, {clears=}")


@cocotb.test()
async def what_came_stays_for_the_next_run(dut: Any) -> None:
    """Messages and statuses that nobody took, unless boxes are emptied at the start."""
    bench = await Bench.started(dut, 7)
    here, there = bench.places[0], bench.places[-1]
    sender = bench.program("bp")
    _overflow(bench, sender)
    sender.barrier("noc", after="grad", reason="the status")
    _signal(sender, 3, 2)
    _signal(sender, 3, 2, Control.REMOTE_COLLECT)
    sender.end()
    connections = {(here, "bp"): {3: Connection(place=there, subcore="bp")}}
    await bench.run({(here, "bp"): sender}, connections, "sender")
    for waits, empty, fault in (
        (1, False, Fault.NONE),
        (1, False, Fault.NONE),
        (1, False, Fault.TIMEOUT),
        (0, False, Fault.NONE),
        (0, True, Fault.NONE),
        (1, False, Fault.TIMEOUT),
    ):
        program = bench.program("bp")
        program.add("NOC_CTRL", {"flow_type": Control.COLLECT.value}, reason="is there a status?")
        program.barrier("wu", after="noc", boxes=[2] * waits, reason="as many messages")
        _update(program)
        program.end()
        run = {(there, "bp"): program}
        found = await bench.run(run, {}, f"{waits=} {empty=}", timeout=2000, empty=empty)
        assert found[there]["bp"].fault is fault, f"{waits=} {empty=}"


def _update(program: Program) -> None:
    """Of a few weights, unless statuses forbid it."""
    update = {"words": 4, "dw": 0, "w": 4, "v": 8, "stored": 0, "k": 0x3F800000}
    program.add("WU", {**update, "lr": 0x3F000000}, reason="an update")


def _overflow(bench: Bench, program: Program) -> None:
    """The largest number, twice."""
    array = bench.config.array
    elements = ElementOperands(lanes=array.lanes, pixels=array.spike_pixels, format=BINARY16)
    operands = elements.grad_vector(
        NeuronArea(h_size=1, w_size=1, m_size=1),
        Operation.ADD,
        x=Source.SCALAR,
        y=Source.SCALAR,
        scalar=0x7BFF,
        write=Layout(base=0),
    )
    program.add("BP_VECTOR", operands, reason="more than a number can be")
