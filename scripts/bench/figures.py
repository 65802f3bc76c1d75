"""The figures: what each is called, how it is measured, and what it has to be."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hw.arith.fixed import RoundFixed
from hw.bp.row import BpRow
from hw.component import EmitOnce
from hw.conv.front import Pixel
from hw.conv.walker import Walker
from hw.conv.weights import WeightLoader
from hw.conv.window import SegmentFetch
from hw.core.core import Core
from hw.emit import Emission, emit
from hw.fp.row import FpRow
from hw.limits import PLANE_BITS
from hw.neuron.grad import GradLane
from hw.neuron.soma import SomaLane
from hw.neuron.walk import Walk
from hw.wg.array import WgColumn
from hw.wg.scanner import WgSteps
from scripts.bench.simulation import CONFIG, engine_of, engine_runs
from scripts.bench.synthesis import Area, fmax, total_area

__all__ = ["FIGURES", "Figure", "NotMeasured"]

TRAINED = Path("build/train/epochs.csv")
"""Where ``make train`` leaves the accuracy of every epoch."""
CORE_STEPS = Path("build/train/core.json")
"""Where it leaves what the training steps that ran in RTL counted."""
LANES = CONFIG.array.lanes

BESIDE = {
    "fp": ("conv_front", "weight_loader", "counters"),
    "bp": ("conv_front", "weight_loader", "counters"),
    "wg": ("wg_scanner", "counters"),
}
"""Modules of an engine that are no part of its array: address generators, row buffers, counters."""
SRAM = ("sram_",)
"""Modules that an FPGA flow maps to block RAM, and an ASIC flow replaces by macros."""


class NotMeasured(Exception):
    """A figure that needs something that is not there; the text is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure. ``relation`` and ``target`` are None for what is only reported."""

    name: str
    what: str
    unit: str
    measure: Callable[[], float]
    relation: str | None = None
    target: float | None = None
    make: str = ""
    """The command that measures it, if that is not ``make bench ONLY=<name>``."""

    @property
    def command(self) -> str:
        """How to get this figure alone."""
        return self.make or f"make bench ONLY={self.name}"

    def holds(self, value: float) -> bool:
        """Whether ``value`` is what it has to be."""
        if self.target is None:
            return True
        return value >= self.target if self.relation == ">=" else value <= self.target


def _busy_percent(engine: str, run: str) -> float:
    measured = engine_runs(engine)[run]
    return 100 * measured["counters"]["busy"] / measured["cycles"]


def _speed(engine: str) -> float:
    return engine_runs(engine)["dense"]["hertz"] / 1000


def _speedup(percent: int) -> float:
    runs = engine_runs("fp")
    return runs["dense"]["cycles"] / runs[f"sparse_{percent}"]["cycles"]


def _over(engine: str, percent: int, ideal: str) -> float:
    run = engine_runs(engine)[f"sparse_{percent}"]
    return run["cycles"] / run[ideal]


def _psum_accesses(port: str) -> float:
    run = engine_runs("fp")["dense"]
    return run["counters"][port] / run["tile_visits"]


def _emission(engine: str) -> Emission:
    if engine not in _EMISSIONS:
        _EMISSIONS[engine] = emit(engine_of(engine))
    return _EMISSIONS[engine]


_EMISSIONS: dict[str, Emission] = {}


def array_area(engine: str) -> Area:
    """The array: its engine without what is beside it, but with the walker and psum queues."""
    emission = _emission(engine)
    area = total_area(emission, emission.top, without=BESIDE[engine])
    for name in emission.modules:
        if name.startswith("walker"):
            area += total_area(emission, name)
    return area


def engine_area(engine: str) -> Area:
    """The whole engine, without its SRAMs."""
    emission = _emission(engine)
    return total_area(emission, emission.top)


def controllers_area() -> Area:
    """The controllers of both sub-cores, without the SRAM that instructions come to."""
    emission = _core()
    controllers = [name for name in emission.modules if name.startswith("controller_")]
    return sum((total_area(emission, name, without=SRAM) for name in controllers), Area())


@functools.cache
def _core() -> Emission:
    return emit(Core(config=CONFIG))


def _per_pe(area: Callable[[str], Area], engine: str, what: str) -> float:
    return getattr(area(engine), what) / LANES**2


def _whole(area: Callable[[], Area], what: str) -> float:
    return getattr(area(), what)


def _fmax(make: Callable[[], EmitOnce]) -> Callable[[], float]:
    return lambda: fmax(emit(make())).mhz


def _bits_differ() -> float:
    return sum(
        run["bits_differ"] for engine in ("fp", "bp", "wg") for run in engine_runs(engine).values()
    )


def _trained_values_differ() -> float:
    return sum(sum(step["differ"].values()) for step in _trained_steps())


def _training_step() -> float:
    # Imported here, since it takes a while and most figures do without.
    from scripts.train import measure_training_step

    return measure_training_step()


def _accuracy() -> float:
    from scripts.train import TrainingSettings

    if not TRAINED.exists():
        raise NotMeasured(f"there is no {TRAINED}: run `make train` first")
    with TRAINED.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    epochs = TrainingSettings().epochs
    if len(rows) != epochs:
        raise NotMeasured(f"{TRAINED} must be of {epochs} epochs, not {len(rows)}: `make train`")
    return 100 * float(rows[-1]["test_accuracy"])


def _trained_steps() -> Any:
    if not CORE_STEPS.exists():
        raise NotMeasured(f"there is no {CORE_STEPS}: run `make train` first")
    return json.loads(CORE_STEPS.read_text(encoding="utf-8"))


def _digits_speedup(unit: str) -> Callable[[], float]:
    def measure() -> float:
        counts = [step["counters"][unit] for step in _trained_steps()]
        entered = sum(each["busy"] for each in counts)
        return 1 + sum(each["skipped"] for each in counts) / entered

    return measure


def _on_core(measure: str) -> Any:
    # Imported here, as below.
    from scripts.bench import core

    return getattr(core, measure)()


def _on_network(measure: str) -> Any:
    # Imported here, as above.
    from scripts.bench import network

    return getattr(network, measure)()


def _on_chip(measure: str) -> Any:
    from scripts.bench import chip

    return getattr(chip, measure)()


def _core_cycles_over_busy() -> float:
    return max(step.cycles_over_busy for step in _on_core("core_steps"))


def _core_values_differ() -> float:
    return sum(sum(step.differ.values()) for step in _on_core("core_steps"))


def _figures() -> list[Figure]:
    def share(engine: str, run: str, target: float, what: str) -> Figure:
        suffix = "fc_busy_share" if run == "fc" else "busy_share"
        return Figure(
            name=f"{engine}_{suffix}",
            what=f"{engine.upper()}, cycles in which an operand enters, {what}",
            unit="%",
            measure=partial(_busy_percent, engine, run),
            relation=">=",
            target=target,
        )

    dense, fully = "3x3 64->64 32x32 dense", "FC 512->512, 4 steps of 8 samples"
    figures = [
        share("fp", "dense", 95, dense),
        share("bp", "dense", 95, dense),
        share("wg", "dense", 90, dense),
        share("fp", "fc", 60, fully),
        share("bp", "fc", 60, fully),
    ]
    for percent, target in ((80, 2.0), (90, 3.0), (95, 4.4)):
        figures.append(
            Figure(
                name=f"fp_speedup_{percent}",
                what=f"FP, dense cycles / cycles at {percent} % random sparsity",
                unit="x",
                measure=partial(_speedup, percent),
                relation=">=",
                target=target,
            )
        )
    for engine, ideal, kind, percents in (
        ("fp", "needed", "cycles needed", (80, 90, 95)),
        ("wg", "vectors", "non-zero vectors", (90, 95, 98)),
    ):
        for percent in percents:
            figures.append(
                Figure(
                    name=f"{engine}_cycles_over_{ideal}_{percent}",
                    what=f"{engine.upper()}, cycles / {kind} at {percent} % random sparsity",
                    unit="x",
                    measure=partial(_over, engine, percent, ideal),
                    relation="<=",
                    target=1.05,
                )
            )
    for access in ("reads", "writes"):
        figures.append(
            Figure(
                name=f"fp_psum_{access}",
                what=f"FP, psum SRAM {access} per pixel, tile pair and kernel position, {dense}",
                unit="per tile visit",
                measure=partial(_psum_accesses, f"conv_{access}"),
                relation="<=",
                target=1 / 9,
            )
        )
    for engine, luts, dsps in (("fp", 105, 0), ("wg", 95, 0), ("bp", 280, 1)):
        figures += [
            Figure(
                name=f"{engine}_array_lut_per_pe",
                what=f"{engine.upper()} array, LUTs of xcup",
                unit="LUT/PE",
                measure=partial(_per_pe, array_area, engine, "luts"),
                relation="<=",
                target=luts,
            ),
            Figure(
                name=f"{engine}_array_dsp_per_pe",
                what=f"{engine.upper()} array, DSP48E2",
                unit="DSP/PE",
                measure=partial(_per_pe, array_area, engine, "dsps"),
                relation="<=",
                target=dsps,
            ),
            Figure(
                name=f"{engine}_engine_lut_per_pe",
                what=f"{engine.upper()} engine with address generators, buffers, counters",
                unit="LUT/PE",
                measure=partial(_per_pe, engine_area, engine, "luts"),
            ),
        ]
    for name, what, unit, area, target in (
        ("core_lut", "a core with its network", "LUT", partial(_on_chip, "core_area"), 180_000),
        ("core_dsp", "a core with its network", "DSP", partial(_on_chip, "core_area"), 320),
        (
            "network_lut",
            "router, interface, dispatch unit and DMA of a core",
            "LUT",
            partial(_on_chip, "network_area"),
            30_000,
        ),
        ("controllers_lut", "the controllers of a core", "LUT", controllers_area, 4000),
    ):
        figures.append(
            Figure(
                name=name,
                what=f"{what}, without its SRAMs, {unit}s of xcup",
                unit=unit,
                measure=partial(_whole, area, f"{unit.lower()}s"),
                relation="<=",
                target=target,
            )
        )
    format, array = CONFIG.format, CONFIG.array
    units: dict[str, tuple[str, Callable[[], EmitOnce]]] = {
        "fp_row": (
            "a row of the FP array",
            lambda: FpRow(format=format, lanes=LANES, depth=array.ring_depth),
        ),
        "bp_row": (
            "a row of the BP array",
            lambda: BpRow(format=format, lanes=LANES),
        ),
        "wg_column": ("a column of the WG array", lambda: WgColumn(format=format, lanes=LANES)),
        "rounding": (
            "rounding of a psum",
            lambda: RoundFixed(
                width=format.psum_bits, lsb=format.lsb, format=format, scale_bits=PLANE_BITS
            ),
        ),
        "soma_lane": ("a soma lane", lambda: SomaLane(format=format)),
        "grad_lane": (
            "a grad lane",
            lambda: GradLane(format=format, channels=LANES // array.pipeline_lanes),
        ),
    }
    for name, (what, make) in units.items():
        figures.append(
            Figure(
                name=f"fmax_{name}",
                what=f"clock of {what}, ECP5 85k speed 8, placed and routed",
                unit="MHz",
                measure=_fmax(make),
                relation=">=",
                target=140,
            )
        )
    walks: dict[str, tuple[str, Callable[[], EmitOnce]]] = {
        "segment_fetch": (
            "the loops over a map of FP",
            lambda: SegmentFetch(bits=LANES, pixels=array.spike_pixels, rows=array.group_rows),
        ),
        "walker": (
            "the walk through a window of FP",
            lambda: Walker(
                lanes=LANES,
                entries=array.group_tiles,
                depth=array.ring_depth,
                payload_bits=Pixel(0).size,
            ),
        ),
        "weight_loader": (
            "the loader of weights",
            lambda: WeightLoader(
                word_bits=format.width * LANES,
                lanes=LANES,
                weight_words=array.weight_words,
                depth=array.ring_depth,
            ),
        ),
        "wg_steps": ("the loops of WG", lambda: WgSteps(pixels=array.spike_pixels)),
        "element_walk": (
            "the loops of soma and grad",
            lambda: Walk(words=3, bit_maps=1, pixels=array.spike_pixels),
        ),
    }
    for name, (what, make) in walks.items():
        figures.append(
            Figure(
                name=f"fmax_{name}",
                what=f"clock of {what}, as above",
                unit="MHz",
                measure=_fmax(make),
            )
        )
    for engine in ("fp", "bp", "wg"):
        figures.append(
            Figure(
                name=f"sim_speed_{engine}",
                what=f"Verilated {engine.upper()} engine, one thread, {dense}",
                unit="kHz",
                measure=partial(_speed, engine),
                relation=">=",
                target=100,
            )
        )
    figures += [
        Figure(
            name="bits_differ",
            what="bits that differ between RTL and model in all of these runs",
            unit="bits",
            measure=_bits_differ,
            relation="<=",
            target=0,
        ),
        Figure(
            name="core_speed",
            what="Verilated core under cocotb, one thread, a digits step of batch 32",
            unit="kHz",
            measure=partial(_on_core, "core_khz"),
            relation=">=",
            target=25,
        ),
        Figure(
            name="core_cycles_over_busy",
            what="such a step, cycles / (busiest engine of each phase + DMA not hidden)",
            unit="x",
            measure=_core_cycles_over_busy,
            relation="<=",
            target=1.15,
        ),
        Figure(
            name="core_values_differ",
            what="values that differ between RTL and model in three such steps",
            unit="values",
            measure=_core_values_differ,
            relation="<=",
            target=0,
        ),
        Figure(
            name="routers_lut",
            what="both routers of a core, 256 and 24 bits, queues of 16 flits, LUTs of xcup",
            unit="LUT",
            measure=lambda: _on_network("routers_area").luts,
        ),
        Figure(
            name="fmax_router",
            what="clock of the router of 256 bits, ECP5 85k speed 8, placed and routed",
            unit="MHz",
            measure=partial(_on_network, "router_mhz"),
            relation=">=",
            target=140,
        ),
        Figure(
            name="noc_hop_cycles",
            what="zero-load latency of a router more, in its clock",
            unit="cycles",
            measure=partial(_on_network, "hop_cycles"),
            relation="<=",
            target=2,
        ),
        Figure(
            name="noc_saturation",
            what="8x4, uniform, of 0.5 flits/core/cycle; packets of 1 to 16 flits, the worst",
            unit="%",
            measure=lambda: 100 * _on_network("saturation"),
            relation=">=",
            target=60,
        ),
        Figure(
            name="noc_neighbour",
            what="8x4, share of a link that neighbours get who send to each other",
            unit="%",
            measure=lambda: 100 * _on_network("link_share"),
            relation=">=",
            target=95,
        ),
        Figure(
            name="batch_cycles_over_least",
            what="2x2 cores, dense batch up to its update, cycles / (FP of a sample + max(BP, WG))",
            unit="x",
            measure=partial(_on_chip, "batch_cycles_over_least"),
            relation="<=",
            target=1.10,
        ),
        Figure(
            name="batch_update_cycles",
            what="its update, with new weights for both sub-cores that hold them",
            unit="cycles",
            measure=partial(_on_chip, "batch_update_cycles"),
        ),
        Figure(
            name="batch_utilisation",
            what="that batch up to its update, cycles of all arrays in which an operand enters",
            unit="%",
            measure=lambda: 100 * _on_chip("batch_utilisation"),
            relation=">=",
            target=60,
        ),
        Figure(
            name="batch_values_differ",
            what="values that differ between RTL and model in that batch",
            unit="values",
            measure=partial(_on_chip, "batch_values_differ"),
            relation="<=",
            target=0,
        ),
        Figure(
            name="chip_speed",
            what="Verilated chip of 2x2 cores under cocotb, one thread, that batch",
            unit="kHz",
            measure=partial(_on_chip, "chip_khz"),
            relation=">=",
            target=5,
        ),
        Figure(
            name="instruction_overhead",
            what="idle cycles between two dependent instructions of an engine, both decoded",
            unit="cycles",
            measure=lambda: max(idle for idle, _ in _on_core("instruction_cycles").values()),
            relation="<=",
            target=12,
        ),
        Figure(
            name="instruction_interval",
            what="cycles from one shortest instruction to the next, nothing decoded ahead",
            unit="cycles",
            measure=lambda: max(each for _, each in _on_core("instruction_cycles").values()),
        ),
        Figure(
            name="verilog_seconds",
            what="`make verilog CONFIG=paper`, a chip of 8x4 cores",
            unit="s",
            measure=partial(_on_core, "verilog_seconds"),
            relation="<=",
            target=90,
        ),
        Figure(
            name="verilog_megabytes",
            what="the Verilog of that chip",
            unit="MB",
            measure=partial(_on_core, "verilog_megabytes"),
            relation="<=",
            target=20,
        ),
        Figure(
            name="trained_values_differ",
            what="values that differ between RTL and model in the last `make train`",
            unit="values",
            measure=_trained_values_differ,
            relation="<=",
            target=0,
            make="make train",
        ),
        Figure(
            name="training_step_seconds",
            what="a training step of the model, batch 32",
            unit="s",
            measure=_training_step,
            relation="<=",
            target=0.25,
        ),
        Figure(
            name="digits_accuracy",
            what="test accuracy of the last `make train` (FP32 in PyTorch: 97.6)",
            unit="%",
            measure=_accuracy,
            relation=">=",
            target=96.6,
            make="make train",
        ),
    ]
    for unit in ("fp_fp", "bp_bp", "bp_wg"):
        engine = unit[-2:]
        figures.append(
            Figure(
                name=f"digits_speedup_{engine}",
                what=f"{engine.upper()}, busy cycles without skipping / with it, `make train`",
                unit="x",
                measure=_digits_speedup(unit),
                make="make train",
            )
        )
    return figures


FIGURES: dict[str, Figure] = {figure.name: figure for figure in _figures()}
"""Every figure by name, in the order in which they are printed."""
