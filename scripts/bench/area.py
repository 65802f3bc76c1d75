"""What is measured by synthesis: how many LUTs and DSPs the parts of a core take.

SRAMs count nothing: an FPGA flow maps them to block RAM, and an ASIC flow replaces them by macros.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial

from backspike.hw.chip.chip import CROSSING_FLITS
from backspike.hw.core.core import Core
from backspike.hw.emit import Emission, emit
from backspike.hw.isa.table import UNITS
from backspike.hw.noc.crossing import Crossing
from backspike.hw.noc.packet import Reply
from backspike.hw.noc.router import Router
from scripts.bench.engines import CONFIG, engine_of
from scripts.bench.figure import Figure
from scripts.bench.synthesis import CellCounts, total_area

__all__ = ["FIGURES"]

BESIDE = {
    "fp": ("conv_front", "weight_loader", "counters"),
    "bp": ("conv_front", "weight_loader", "counters"),
    "wg": ("wg_scanner", "counters"),
}
"""Modules of an engine that are no part of its array: address generators, row buffers, counters."""
SRAM = ("sram_",)
NETWORK = ("backspike.hw.noc.", "backspike.hw.dma.")
"""Where what takes words out of a core, and to DRAM, comes from."""
PAYLOADS = (CONFIG.noc.flit_bits, Reply.as_shape().size)
"""Bits of a flit of either network."""


@functools.cache
def _engine(name: str) -> Emission:
    return emit(engine_of(name))


@functools.cache
def _core() -> Emission:
    return emit(Core.from_config(CONFIG))


def array_area(engine: str) -> CellCounts:
    """The array: its engine without what is beside it, but with the walker and psum queues."""
    emission = _engine(engine)
    area = total_area(emission, emission.top, without=BESIDE[engine])
    for name in emission.modules:
        if name.startswith("walker"):
            area += total_area(emission, name)
    return area


def engine_area(engine: str) -> CellCounts:
    """The whole engine."""
    emission = _engine(engine)
    return total_area(emission, emission.top)


def controllers_area() -> CellCounts:
    """The controllers of both sub-cores."""
    emission = _core()
    controllers = [name for name in emission.modules if name.startswith("controller_")]
    return sum((total_area(emission, name, without=SRAM) for name in controllers), CellCounts())


def core_area() -> CellCounts:
    """A core with its routers and what lies between their clock and its own."""
    core = _core()
    return total_area(core, core.top, without=SRAM) + routers_area() + _crossings_area()


def network_area() -> CellCounts:
    """Routers, network interfaces, what copies words and receives them, DMA."""
    core = _core()
    return _within_network(core, core.top) + routers_area() + _crossings_area()


def routers_area() -> CellCounts:
    """The routers of a core, one for each network."""
    routers = (emit(Router(payload_bits=bits, depth=CONFIG.noc.buffer_flits)) for bits in PAYLOADS)
    return sum((total_area(each, each.top) for each in routers), CellCounts())


def _crossings_area() -> CellCounts:
    """Those between the clock of a core and that of its routers: of each sub-core, both ways."""
    emissions = (emit(Crossing(payload_bits=bits, depth=CROSSING_FLITS)) for bits in PAYLOADS)
    ways = 2 * len(UNITS)
    return sum((total_area(each, each.top) * ways for each in emissions), CellCounts())


def _within_network(core: Emission, name: str) -> CellCounts:
    """What belongs to the network from a module down."""
    total = CellCounts()
    for child, count in core.modules[name].instances.items():
        if core.modules[child].kind.startswith(NETWORK):
            total += total_area(core, child, without=SRAM) * count
        else:
            total += _within_network(core, child) * count
    return total


def _per_pe(area: Callable[[str], CellCounts], engine: str, what: str) -> float:
    return getattr(area(engine), what) / CONFIG.array.lanes**2


def _count(area: Callable[[], CellCounts], what: str) -> float:
    return getattr(area(), what)


def _of_engine(engine: str, luts: float, dsps: float) -> tuple[Figure, ...]:
    array = partial(_per_pe, array_area, engine)
    return (
        Figure(
            name=f"{engine}_array_lut_per_pe",
            what=f"{engine.upper()} array, LUTs of xcup",
            unit="LUT/PE",
            measure=partial(array, "luts"),
            at_most=luts,
        ),
        Figure(
            name=f"{engine}_array_dsp_per_pe",
            what=f"{engine.upper()} array, DSP48E2",
            unit="DSP/PE",
            measure=partial(array, "dsps"),
            at_most=dsps,
        ),
        Figure(
            name=f"{engine}_engine_lut_per_pe",
            what=f"{engine.upper()} engine with address generators, buffers, counters",
            unit="LUT/PE",
            measure=partial(_per_pe, engine_area, engine, "luts"),
        ),
    )


def _whole(
    name: str, what: str, unit: str, area: Callable[[], CellCounts], target: float
) -> Figure:
    return Figure(
        name=name,
        what=f"{what}, without its SRAMs, {unit}s of xcup",
        unit=unit,
        measure=partial(_count, area, f"{unit.lower()}s"),
        at_most=target,
    )


FIGURES = (
    *_of_engine("fp", 105, 0),
    *_of_engine("wg", 95, 0),
    *_of_engine("bp", 280, 1),
    _whole("core_lut", "a core with its network", "LUT", core_area, 180_000),
    _whole("core_dsp", "a core with its network", "DSP", core_area, 320),
    _whole(
        "network_lut",
        "routers, interfaces, copying and DMA of a core",
        "LUT",
        network_area,
        30_000,
    ),
    _whole("controllers_lut", "the controllers of a core", "LUT", controllers_area, 4000),
    Figure(
        name="routers_lut",
        what=f"both routers of a core, {PAYLOADS[0]} and {PAYLOADS[1]} bits, queues of "
        f"{CONFIG.noc.buffer_flits} flits, LUTs of xcup",
        unit="LUT",
        measure=partial(_count, routers_area, "luts"),
    ),
)
