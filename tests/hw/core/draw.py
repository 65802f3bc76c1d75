"""Random instructions and programs that the hardware accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from backspike.compiler.lowering.convolution import bp_operands, fp_operands
from backspike.compiler.lowering.gradient import wg_operands
from backspike.compiler.lowering.layout import Layout
from backspike.compiler.lowering.neuron import NeuronArea
from backspike.hw.config import ChipConfig
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.isa.instruction import Instruction, ProgramError
from backspike.hw.isa.neuron.command import Destination, Operation, Source
from backspike.hw.isa.table import INNER_ROUTES, ROUTES, SRAMS, IsaShape, instruction_set
from backspike.sim.model.machine import Memories
from tests.backspike.compiler.lowering.passes import AllOperands
from tests.hw.conv.cases import draw_case
from tests.sim.model.machine.maps import Map
from tests.sim.model.machine.races import words_of

__all__ = [
    "ARRAYS",
    "COMPUTES",
    "Draw",
    "draw_instruction",
    "odd_instruction",
    "outward",
    "settled",
    "work",
]

Random = np.random.Generator
Operands = dict[str, int]
TRIES = 200
ODD_WORK = 10_000
"""Steps that an odd instruction takes at most."""


class Draw:
    """Draws operands for a core of ``config``, of whose DRAM bytes ``dram`` (first, last) are used.

    ``kernel`` and ``stride``, where they are set, are those of all convolutions.
    """

    def __init__(self, random: Random, config: ChipConfig, *, dram: tuple[int, int]):
        self.random = random
        self.config = config
        self.dram = dram
        self._memories = Memories(config)
        self._shape = EngineShape.from_config(config)
        array = config.array
        self._elements = AllOperands(
            lanes=array.lanes, pixels=array.spike_pixels, format=config.format
        )
        self._index = int(random.integers(1000))
        self.kernel: int | None = None
        self.stride: int | None = None

    def _at(self, sram: str, *shape: int) -> Layout:
        return Map.anywhere(self.random, self._memories, sram, shape).at

    def _whole(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def _case(self, rows: str):
        self._index += 1
        return draw_case(
            self.random,
            self._index,
            self.config.array.lanes,
            rows=rows,
            kernel=self.kernel,
            stride=self.stride,
        )

    def _channels(self, tiles: int) -> int:
        return tiles * self.config.array.lanes

    def fp_conv(self) -> Operands:
        layer = self._case("e").layer
        maps = layer.samples, layer.steps
        top = self._whole(0, 2)
        return fp_operands(
            layer,
            self._shape,
            spikes=self._at("fp.s_in", *maps, layer.h, layer.w, self._channels(layer.c_tiles)),
            weights=self._whole(0, 40),
            psums=self._at("fp.conv_fp", *maps, layer.e, layer.f, self._channels(layer.m_tiles)),
            psum_acc=bool(self._whole(0, 1)),
            skip=bool(self._whole(0, 1)),
            plane=self._whole(0, top),
            plane_top=top,
        )

    def bp_conv(self) -> Operands:
        layer = self._case("h").layer
        maps = layer.samples, layer.steps
        inputs = (*maps, layer.h, layer.w, self._channels(layer.c_tiles))
        passes = list(
            bp_operands(
                layer,
                self._shape,
                du=self._at("bp.du_next", *maps, layer.e, layer.f, self._channels(layer.m_tiles)),
                weights=self._whole(0, 40),
                psums=self._at("bp.conv_bp", *inputs),
                fire=self._at("bp.s", *inputs) if self._whole(0, 1) else None,
                psum_acc=bool(self._whole(0, 1)),
                skip=bool(self._whole(0, 1)),
            )
        )
        return passes[self._whole(0, len(passes) - 1)]

    def wg_conv(self) -> Operands:
        layer = self._case("e").layer
        maps = layer.samples, layer.steps
        return wg_operands(
            layer,
            lanes=self._shape.lanes,
            pixels=self._shape.pixels,
            spikes=self._at("bp.s", *maps, layer.h, layer.w, self._channels(layer.c_tiles)),
            du=self._at("bp.du_next", *maps, layer.e, layer.f, self._channels(layer.m_tiles)),
            dw=self._whole(0, 40),
            m_size=self._channels(layer.m_tiles) - self._whole(0, self._shape.lanes - 1),
            c_size=self._channels(layer.c_tiles) - self._whole(0, self._shape.lanes - 1),
            plane=self._whole(0, 4),
            dw_acc=bool(self._whole(0, 1)),
            skip=bool(self._whole(0, 1)),
        )

    def _area(self, pooling: int) -> NeuronArea:
        return NeuronArea(
            h_size=self._whole(1, 9),
            w_size=self._whole(1, 19 if self._whole(0, 2) == 0 else 9),
            m_size=self._whole(1, 3 * self.config.array.lanes),
            pooling=pooling,
            samples=self._whole(1, 3),
        )

    def _code(self) -> int:
        """Numbers around 1, zeros, and sometimes anything."""
        format = self.config.format
        if self._whole(0, 9) == 0:
            return self._whole(0, (1 << format.width) - 1)
        one = format.bias << format.mantissa
        return max(0, one + self._whole(-3, 1) * (1 << format.mantissa)) | (
            self._whole(0, 1) << format.width - 1
        )

    def _map(self, sram: str, area: NeuronArea, *, pooled: bool = False) -> Layout:
        side = area.pooling if pooled else 1
        size = max(1, area.h_size // side), max(1, area.w_size // side)
        return self._at(sram, area.samples, 1, *size, area.m_size)

    def fp_soma(self) -> Operands:
        area = self._area(self._whole(1, 4))
        carried = bool(self._whole(0, 1))
        return self._elements.soma(
            area,
            t_acc=carried,
            alpha=self._code(),
            th_f=self._code(),
            conv=self._map("fp.conv_fp", area),
            u=self._map("fp.u", area),
            spike=self._map("fp.spike", area),
            s_out=self._map("fp.s_out", area, pooled=True),
            u_prev=self._map("fp.u", area) if carried else None,
            spike_prev=self._map("fp.spike", area) if carried else None,
            planes=self._whole(0, 4),
        )

    def bp_grad(self) -> Operands:
        area = self._area(self._whole(1, 4))
        carried = bool(self._whole(0, 1))
        return self._elements.grad(
            area,
            t_acc=carried,
            alpha=self._code(),
            th_f=self._code(),
            th_l=self._code(),
            th_r=self._code(),
            conv=self._map("bp.conv_bp", area, pooled=True),
            u=self._map("bp.u", area),
            du=self._map("bp.du", area),
            du_next=self._map("bp.du", area) if carried else None,
            s_out=self._map("bp.s", area, pooled=True),
        )

    def _vector(self, srams: Mapping[Source, str], written: Mapping[Destination, str]) -> dict:
        area = self._area(1)
        operation = Operation(self._whole(1, 4))
        compare = operation is Operation.COMPARE
        sources = [*srams, Source.SCALAR]
        x, y = (sources[self._whole(0, len(sources) - 1)] for _ in range(2))
        read = dict.fromkeys((x,) if compare else (x, y))
        read.pop(Source.SCALAR, None)
        to = Destination.BITS if compare else Destination(self._whole(0, 1))
        places = {source.name.lower(): self._map(srams[source], area) for source in read}
        return dict(
            area=area,
            operation=operation,
            x=x,
            y=None if compare else y,
            to=to,
            write=self._map(written[to], area),
            scalar=self._code(),
            low=self._code(),
            high=self._code(),
            **places,
        )

    def fp_vector(self) -> Operands:
        return self._elements.soma_vector(
            **self._vector(
                {Source.CONV: "fp.conv_fp", Source.U: "fp.u", Source.BITS: "fp.spike"},
                {
                    Destination.MAP: "fp.u",
                    Destination.CONV: "fp.conv_fp",
                    Destination.BITS: "fp.spike",
                },
            ),
            planes=self._whole(0, 4),
        )

    def bp_vector(self) -> Operands:
        return self._elements.grad_vector(
            **self._vector(
                {
                    Source.CONV: "bp.conv_bp",
                    Source.U: "bp.u",
                    Source.BITS: "bp.s",
                    Source.DU: "bp.du",
                },
                {
                    Destination.MAP: "bp.du",
                    Destination.CONV: "bp.conv_bp",
                    Destination.BITS: "bp.s",
                },
            )
        )

    def wu(self) -> Operands:
        words = self._whole(1, 30)
        third = self.config.srams["bp.dw"].words // 3
        # Anywhere, but each in a part of its own.
        parts = {
            name: number * third + self._whole(0, third - words)
            for number, name in enumerate(self.random.permutation(["dw", "w", "v"]))
        }
        rows = self.config.srams["bp.w"].words * self.config.array.weight_words
        scalars = np.float32(self.random.normal(size=4)).view(np.uint32)
        return {
            "words": words,
            **parts,
            "stored": self._whole(0, rows - words),
            **dict(zip(("k", "wd", "mu", "lr"), map(int, scalars), strict=True)),
        }

    def dma(self, subcore: str) -> Operands:
        sram = self._whole(0, len(SRAMS[subcore]) - 1)
        size = self.config.srams[f"{subcore}.{SRAMS[subcore][sram]}"]
        bus = self.config.dram.bus_bits // 8
        rows = self._whole(1, 4) if self._whole(0, 1) else 1
        words = self._whole(1, max(1, min(size.words // (2 * rows), 200)))
        step = words + self._whole(0, 5)
        row_bytes = -(-words * size.width // 8 // bus) * bus
        dram_row = row_bytes + bus * self._whole(0, 5)
        first, last = self.dram
        base = self._whole(0, size.words - (rows - 1) * step - words)
        down, up = self._whole(0, 1), self._whole(0, 1)
        dram = first + bus * self._whole(0, (last - first - rows * dram_row) // bus)
        return {
            "sram": sram,
            "base": base + (rows - 1) * step * down,
            "words": words,
            "rows": rows,
            "sram_row": -step if down else step,
            "dram": dram + (rows - 1) * dram_row * up,
            "dram_row": -dram_row if up else dram_row,
        }

    def noc_data(self, subcore: str) -> Operands:
        route = self._whole(0, INNER_ROUTES[subcore] - 1)
        here, there = ROUTES[subcore][route]
        ends = self.config.srams[f"{subcore}.{here}"].words, self.config.srams[there].words
        rows = self._whole(1, 4)
        words = self._whole(1, min(*ends, 400) // (2 * rows))
        steps = [words + self._whole(0, 5) for _ in ends]
        bases = [
            self._whole(0, size - (rows - 1) * step - words)
            for size, step in zip(ends, steps, strict=True)
        ]
        return {
            "data_type": route,
            "words": words,
            "rows": rows,
            "source": bases[0],
            "source_row": steps[0],
            "destination": bases[1],
            "destination_row": steps[1],
        }


COMPUTES: dict[str, dict[str, Callable[[Draw], Operands]]] = {
    "fp": {
        "FP_CONV": Draw.fp_conv,
        "FP_SOMA": Draw.fp_soma,
        "FP_VECTOR": Draw.fp_vector,
        "DMA_RD": lambda draw: draw.dma("fp"),
        "DMA_WR": lambda draw: draw.dma("fp"),
        "NOC_DATA": lambda draw: draw.noc_data("fp"),
    },
    "bp": {
        "BP_CONV": Draw.bp_conv,
        "WG_CONV": Draw.wg_conv,
        "BP_GRAD": Draw.bp_grad,
        "BP_VECTOR": Draw.bp_vector,
        "WU": Draw.wu,
        "DMA_RD": lambda draw: draw.dma("bp"),
        "DMA_WR": lambda draw: draw.dma("bp"),
        "NOC_DATA": lambda draw: draw.noc_data("bp"),
    },
}
"""What draws the operands of each instruction that does anything to memories."""
ARRAYS = {"fp": ("FP_CONV",), "bp": ("BP_CONV", "WG_CONV")}
"""The instructions of the arrays."""


def draw_instruction(draw: Draw, subcore: str, mnemonic: str) -> Operands:
    """Operands that the hardware accepts, and whose outcome does not depend on its pace."""
    instruction = instruction_set(IsaShape.from_config(draw.config), subcore)[mnemonic]
    for _ in range(TRIES):
        try:
            operands = instruction.fill(COMPUTES[subcore][mnemonic](draw))
            if settled(instruction, operands):
                return operands
        except (ProgramError, ValueError):
            continue
    raise AssertionError(f"no {mnemonic} fits the core in {TRIES} tries")


def odd_instruction(draw: Draw, subcore: str, mnemonic: str) -> Operands:
    """Operands that the hardware accepts, but no compiler would make: some are anything legal."""
    instruction = instruction_set(IsaShape.from_config(draw.config), subcore)[mnemonic]
    random = draw.random
    # Anywhere in DRAM could be the program itself.
    free = [operand for operand in instruction.operands if operand.name != "dram"]
    for _ in range(100 * TRIES):
        operands = draw_instruction(draw, subcore, mnemonic)
        for operand in random.choice(free, int(random.integers(1, 4))):
            low, high = max(operand.low, -9), min(operand.high, 9)
            operands[operand.name] = int(random.integers(low, high + 1))
        try:
            if work(instruction, operands) <= ODD_WORK and settled(instruction, operands):
                return operands
        except ProgramError:
            continue
    raise AssertionError(f"no odd {mnemonic} fits the core")


def outward(subcore: str, copy: Operands) -> bool:
    """Whether NOC_DATA goes to an SRAM of the other sub-core."""
    return not ROUTES[subcore][copy["data_type"]][1].startswith(f"{subcore}.")


def settled(instruction: Instruction, operands: Operands) -> bool:
    """Whether the outcome does not depend on the order in which the engine goes over its maps.

    No word is written twice, and none is read where the instruction writes something else.
    """
    accesses = instruction.reaches(operands)
    values = instruction.values(operands)
    for step, (first, last) in accesses:
        if not step.writes:
            continue
        words = words_of(step, values)
        if len(np.unique(words)) != len(words):
            return False
        for other, (begin, to) in accesses:
            apart = other.sram != step.sram or to < first or last < begin
            if not apart and (other.base, other.extents) != (step.base, step.extents):
                return False
    return True


def work(instruction: Instruction, operands: Operands) -> int:
    """Steps it takes, roughly: words of its largest map, by input tiles and kernel positions."""
    values = instruction.values(operands)
    words = [
        float(np.prod([float(values[count]) for count, _ in step.extents]))
        for step, _ in instruction.reaches(operands)
    ]
    return int(max(words, default=0) * values.get("in_tiles", 1) * values.get("taps", 1))
