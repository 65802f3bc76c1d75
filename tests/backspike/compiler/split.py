"""A layer whose sums several cores make: by some of the inputs each, or some of the outputs."""

from __future__ import annotations

import numpy as np

from backspike.compiler.lowering.convolution import ConvLayer, bp_operands, fp_operands
from backspike.compiler.lowering.layout import Layout
from backspike.compiler.lowering.words import codes_dtype, pack_spikes, tile_maps, tile_weights
from backspike.compiler.memory.parts import cut_range
from backspike.compiler.order.hazards import OrderedProgram
from backspike.compiler.planning.mesh.wiring import Edge, End, Wiring
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.isa.instruction import Fault
from backspike.hw.isa.table import SRAMS
from backspike.hw.presets import load
from backspike.sim.model import Status, encode, psum_bp, psum_fp, round_values

__all__ = ["CHIP", "CORES", "split_by_inputs", "split_by_outputs"]

CHIP = load("tiny", ["mesh.columns=2", "mesh.rows=2"])
LANES = CHIP.array.lanes
CORES = [(0, 0), (1, 0), (1, 1)]
SIZE = 6, 5
KERNEL, PADDING, STRIDE = (3, 3), (1, 1, 1, 1), 2
SRAM = {"fp": ("s_in", "w", "conv_fp"), "bp": ("du_next", "w", "conv_bp")}
WEIGHTS, PROGRAM, PSUMS, DRAM = 1 << 14, 1 << 16, 1 << 17, 1 << 18
"""Where they lie in DRAM, and its size; inputs are in front."""


class Split:
    """A convolution of FP or BP, of which each core does some tiles of inputs and outputs."""

    def __init__(self, subcore, seed):
        rng = np.random.default_rng(seed)
        self.subcore = subcore
        self.c_tiles, self.m_tiles = (4, 5) if subcore == "bp" else (5, 4)
        self.conv = ConvLayer(
            h=SIZE[0],
            w=SIZE[1],
            kernel=KERNEL,
            stride=STRIDE,
            padding=PADDING,
            c_tiles=self.c_tiles,
            m_tiles=self.m_tiles,
        )
        c, m = self.c_tiles * LANES, self.m_tiles * LANES
        w = rng.normal(size=(m, c, *KERNEL))
        w[rng.random(w.shape) < 0.001] = np.inf
        self.w = round_values(w, CHIP.format)
        status, format = Status(), CHIP.format
        common = {"stride": STRIDE, "padding": PADDING, "status": status, "format": format}
        if subcore == "fp":
            self.x = rng.random((*SIZE, c)) < 0.4
            psums = psum_fp(self.x[None].astype(np.int64), self.w, **common)
        else:
            du = rng.normal(size=(self.conv.e, self.conv.f, m))
            self.x = round_values(du * (rng.random(du.shape) < 0.5), format)
            psums = psum_bp(self.x[None], self.w, size=SIZE, **common)
        self.expected = tile_maps(psums, LANES)[0]
        self.wiring = Wiring(CHIP)
        self.ends, self.drams = {}, {}

    @property
    def inputs(self):
        """Tiles that are summed up."""
        return range(self.c_tiles if self.subcore == "fp" else self.m_tiles)

    @property
    def outputs(self):
        """Tiles of psums."""
        return range(self.m_tiles if self.subcore == "fp" else self.c_tiles)

    @property
    def tile_words(self):
        """Psums of a tile."""
        return self.expected[0, ..., 0].size

    def begin(self, place, inputs, outputs):
        """A core that holds these tiles of inputs, and the weights for these of outputs."""
        end = End(place=place, builder=OrderedProgram(CHIP, self.subcore))
        self.ends[place] = end
        dram = self.drams[place] = np.zeros(DRAM, np.uint8)
        x = self.x[..., inputs.start * LANES : inputs.stop * LANES]
        if self.subcore == "fp":
            words = pack_spikes(x, LANES, CHIP.array.spike_pixels)
            m, c = outputs, inputs
        else:
            codes = encode(tile_maps(x, LANES), CHIP.format).astype(codes_dtype(CHIP.format))
            words = np.ascontiguousarray(codes).view(np.uint8)
            m, c = inputs, outputs
        w = self.w[m.start * LANES : m.stop * LANES, c.start * LANES : c.stop * LANES]
        tiles = np.ascontiguousarray(tile_weights(w, LANES, CHIP.format)).view(np.uint8)
        here, weights, _ = SRAM[self.subcore]
        for sram, data, address in ((here, words, 0), (weights, tiles, WEIGHTS)):
            flat = data.reshape(-1)
            dram[address : address + len(flat)] = flat
            operands = {
                "sram": SRAMS[self.subcore].index(sram),
                "words": len(flat) * 8 // CHIP.srams[f"{self.subcore}.{sram}"].width,
                "dram": address,
            }
            end.builder.add("DMA_RD", operands, reason=f"{sram} of a share")
        return end

    def convolve(self, end, inputs, outputs, base, *, acc=False, **waits):
        """Adds the convolution of these tiles, on top of psums that are there."""
        shape = EngineShape.from_config(CHIP)
        c, m = (inputs, outputs) if self.subcore == "fp" else (outputs, inputs)
        conv = ConvLayer(
            **{**vars(self.conv), "c_tiles": len(c), "m_tiles": len(m)},
        )
        where = {"weights": 0, "psums": Layout(base=base), "psum_acc": acc}
        if self.subcore == "fp":
            passes = [fp_operands(conv, shape, spikes=Layout(), **where)]
        else:
            passes = list(bp_operands(conv, shape, du=Layout(), **where))
        for operands in passes:
            mnemonic = f"{self.subcore.upper()}_CONV"
            end.builder.add(mnemonic, operands, reason="a share of the layer", **waits)
            waits = {}

    def edge(self, here, there, base, words):
        """Psums go from one core to another."""
        conv = SRAM[self.subcore][2]
        route = conv, f"{self.subcore}.{conv}"
        return Edge(self.wiring, here, there, route=route, slots=[base], words=words, total=1)

    def store(self, end, base, words, **waits):
        """Adds what stores psums in DRAM."""
        sram = SRAM[self.subcore][2]
        operands = {
            "sram": SRAMS[self.subcore].index(sram),
            "base": base,
            "words": words,
            "dram": PSUMS + base * CHIP.srams[f"{self.subcore}.{sram}"].width // 8,
        }
        end.builder.add("DMA_WR", operands, reason="psums", **waits)

    def load(self):
        """The DRAM of each core, with its program; and where that lies, by place and sub-core."""
        drams = {place: dram.copy() for place, dram in self.drams.items()}
        for place, end in self.ends.items():
            words = np.array(end.builder.finish().words, "<u4").view(np.uint8)
            drams[place][PROGRAM : PROGRAM + len(words)] = words
        return drams, {place: {self.subcore: PROGRAM} for place in self.ends}

    def expect(self, place, drams, outcomes):
        """All programs have ended well, and the psums that a core has stored are right."""
        faults = {each.fault for core in outcomes.values() for each in core.values()}
        assert faults == {Fault.NONE}
        psums = drams[place][PSUMS:].view("<i8")[: self.expected.size]
        np.testing.assert_array_equal(psums.reshape(self.expected.shape), self.expected)


def split_by_inputs(subcore, cores):
    """Exact psums go from core to core, and each adds its own to them; the last one stores them."""
    split = Split(subcore, 1)
    shares = cut_range(split.inputs, -(-len(split.inputs) // len(cores)))
    words = split.tile_words * len(split.outputs)
    edge = None
    for number, (place, share) in enumerate(zip(cores, shares, strict=True)):
        end = split.begin(place, share, split.outputs)
        if number:
            edge = split.edge(split.ends[cores[number - 1]], end, 0, words)
            edge.send(0, words, "psums so far")
        waits = edge.receive()[1] if edge else {}
        split.convolve(end, share, split.outputs, 0, acc=number > 0, **waits)
    split.store(end, 0, words)
    return split, cores[-1]


def split_by_outputs(subcore):
    """Each core makes some tiles, and one gathers them all."""
    split = Split(subcore, 3)
    shares = cut_range(split.outputs, -(-len(split.outputs) // len(CORES)))
    home = None
    for place, share in zip(CORES, shares, strict=False):
        end = split.begin(place, split.inputs, share)
        base, words = split.tile_words * share.start, split.tile_words * len(share)
        split.convolve(end, split.inputs, share, base)
        waits = {}
        if home:
            edge = split.edge(end, home, base, words)
            edge.send(base, words, "psums of a share")
            waits = edge.receive()[1]
        home = home or end
        split.store(home, base, words, **waits)
    return split, CORES[0]
