"""What is measured by open place and route: the clock of the parts that may limit it."""

from __future__ import annotations

from collections.abc import Callable

from backspike.hw.arith.fixed import RoundFixed
from backspike.hw.bp.row import BpRow
from backspike.hw.component import EmitOnce
from backspike.hw.conv.front import Pixel
from backspike.hw.conv.walker import Walker
from backspike.hw.conv.weights import WeightLoader
from backspike.hw.conv.window import SegmentFetch
from backspike.hw.emit import emit
from backspike.hw.fp.row import FpRow
from backspike.hw.limits import PLANE_BITS
from backspike.hw.neuron.grad import GradLane
from backspike.hw.neuron.soma import SomaLane
from backspike.hw.neuron.walk import Walk
from backspike.hw.noc.router import Router
from backspike.hw.wg.array import WgColumn
from backspike.hw.wg.scanner import WgSteps
from scripts.bench.engines import CONFIG
from scripts.bench.figure import Figure
from scripts.bench.synthesis import fmax

__all__ = ["FIGURES"]

FORMAT, ARRAY, NOC = CONFIG.format, CONFIG.array, CONFIG.noc


def _figure(
    name: str, what: str, make: Callable[[], EmitOnce], target: float | None = None
) -> Figure:
    return Figure(
        name=f"fmax_{name}",
        what=f"clock of {what}, ECP5 85k speed 8, placed and routed",
        unit="MHz",
        measure=lambda: fmax(emit(make())),
        at_least=target,
    )


def _row() -> EmitOnce:
    return FpRow(format=FORMAT, lanes=ARRAY.lanes, ring_depth=ARRAY.ring_depth)


def _rounding() -> EmitOnce:
    return RoundFixed(width=FORMAT.psum_bits, lsb=FORMAT.lsb, format=FORMAT, scale_bits=PLANE_BITS)


def _grad_lane() -> EmitOnce:
    return GradLane(format=FORMAT, channels=ARRAY.lanes // ARRAY.pipeline_lanes)


def _segment_fetch() -> EmitOnce:
    return SegmentFetch(bits=ARRAY.lanes, pixels=ARRAY.spike_pixels, group_rows=ARRAY.group_rows)


def _walker() -> EmitOnce:
    return Walker(
        lanes=ARRAY.lanes,
        group_tiles=ARRAY.group_tiles,
        ring_depth=ARRAY.ring_depth,
        payload_bits=Pixel(0).size,
    )


def _weight_loader() -> EmitOnce:
    return WeightLoader(
        word_bits=FORMAT.width * ARRAY.lanes,
        lanes=ARRAY.lanes,
        weight_words=ARRAY.weight_words,
        ring_depth=ARRAY.ring_depth,
    )


FIGURES = (
    _figure("fp_row", "a row of the FP array", _row, 140),
    _figure(
        "bp_row", "a row of the BP array", lambda: BpRow(format=FORMAT, lanes=ARRAY.lanes), 140
    ),
    _figure(
        "wg_column",
        "a column of the WG array",
        lambda: WgColumn(format=FORMAT, lanes=ARRAY.lanes),
        140,
    ),
    _figure("rounding", "rounding of a psum", _rounding, 140),
    _figure("soma_lane", "a soma lane", lambda: SomaLane(format=FORMAT), 140),
    _figure("grad_lane", "a grad lane", _grad_lane, 140),
    _figure(
        "router",
        f"the router of {NOC.flit_bits} bits",
        lambda: Router(payload_bits=NOC.flit_bits, depth=NOC.buffer_flits),
        140,
    ),
    _figure("segment_fetch", "the loops over a map of FP", _segment_fetch),
    _figure("walker", "the walk through a window of FP", _walker),
    _figure("weight_loader", "the loader of weights", _weight_loader),
    _figure("wg_steps", "the loops of WG", lambda: WgSteps(pixels=ARRAY.spike_pixels)),
    _figure(
        "element_walk",
        "the loops of soma and grad",
        lambda: Walk(words=3, bit_maps=1, pixels=ARRAY.spike_pixels),
    ),
)
