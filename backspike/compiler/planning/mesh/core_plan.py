"""A core of the mesh: its layers, its two programs, and what lies where in its SRAMs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.memory.dram import Maps
from backspike.compiler.memory.parts import Ring, span
from backspike.compiler.order.timeline import START, Moment
from backspike.compiler.planning.context import FORWARD_DONE, Builder, PlanContext
from backspike.compiler.planning.loss import BackwardRings
from backspike.compiler.planning.mesh.slots import MapWords, slots
from backspike.compiler.planning.mesh.wiring import End
from backspike.compiler.planning.operations import clear_statuses, tell_forward
from backspike.compiler.planning.weights import Loaded, load_weights
from backspike.hw.core.connection import Place

__all__ = ["CorePlan", "PartStep"]

LEAD = 8
"""Parts of the batch that FP may be ahead of BP: fewer than a message box holds."""
SHARED, LOSS = -1, -2
"""In place of the number of a layer: slots that layers use in turn, and those of the loss."""


@dataclass
class PartStep:
    """A time step of a part, and where the values of a layer lie in it."""

    part: int
    samples: range
    t: int
    u: int = 0
    bits: int = 0
    psums: int = 0
    there: int = 0
    """When the psums are, about."""

    def __str__(self) -> str:
        """For people."""
        return f"{span('sample', self.samples)}, step {self.t}"

    def copies(self, maps: Maps, base: int) -> Iterator[dict[str, int]]:
        """Operands of the DMA instructions that copy its part of maps, all tiles of it."""
        return maps.copies(
            base,
            steps=range(self.t, self.t + 1),
            samples=self.samples,
            tiles=range(maps.tiles),
        )


class CorePlan:
    """Programs under construction.

    Parameters
    ----------
    place : Place
    context : PlanContext
    parts : sequence of range
        Samples that go through the layers together.
    density : mapping of mnemonic to float
        As of :class:`backspike.compiler.order.hazards.OrderedProgram`.

    Attributes
    ----------
    fp, bp : End
    forward, gradients : list of Lowered
        Layers whose FP and Grad it does, and those whose WG.
    weights, back_weights : mapping of layer to Loaded
        In fp.w, and in bp.w.

    Raises
    ------
    ValueError
        If it has no room for its layers.
    """

    def __init__(
        self,
        place: Place,
        context: PlanContext,
        parts: Sequence[range],
        density: Mapping[str, float],
    ):
        self.place, self.context, self.parts = place, context, parts
        layers, layout = context.layers, context.layout
        self.forward = [layer for layer in layers if layer.index in layout.forward]
        self.gradients = [layer for layer in layers if layer.index in layout.gradients]
        self.fp, self.bp = (
            End(place=place, builder=Builder(context, name, density)) for name in ("fp", "bp")
        )
        for end, phase in ((self.fp, "forward"), (self.bp, "backward")):
            end.builder.phase(phase)
            clear_statuses(end.builder)
        self._inner = [layer for layer in self.forward if layer is not layers[-1]]
        behind = [layers[layer.index + 1] for layer in self._inner]
        self.weights = self._load(self.fp.builder, self.forward)
        self.back_weights = self._load(self.bp.builder, behind)
        words = MapWords(room=context.room, samples=max(len(part) for part in parts))
        self._forward_rings(words)
        self._backward_rings(words)
        self._finished = [0] * len(parts)
        self._told: list[Moment] = []

    def _load(self, builder: Builder, layers: Sequence[Lowered]) -> dict[int, Loaded]:
        """All weights of these layers, one behind the other."""
        sram, weight_words = f"{builder.subcore}.w", self.context.config.array.weight_words
        rows = self.context.room.words(sram) * weight_words
        needed = sum(layer.weight_rows for layer in layers)
        if needed > rows:
            raise ValueError(
                f"the weights of the layers on core {self.place} must take at most {rows} rows of "
                f"{sram}, not {needed}"
            )
        found, base = {}, 0
        for layer in layers:
            tiles = range(layer.conv.m_tiles), range(layer.conv.c_tiles)
            found[layer.index] = load_weights(builder, layer, base, *tiles)
            base += layer.weight_rows // weight_words
        return found

    def _slots(
        self, sram: str, needs: Mapping[int, int], *, least: int = 1, share: int = 1
    ) -> dict[int, Ring]:
        return slots(self.context.room, self.place, sram, needs, least=least, share=share)

    def _forward_rings(self, words: MapWords) -> None:
        layers = self.forward
        neurons = {each.index: words.neurons(each) for each in layers}
        self.s_in = self._slots("fp.s_in", {each.index: words.inputs(each) for each in layers})
        # An input that is the same at all steps is convolved once, and its psums are kept.
        own = [each.index for each in layers if each.input_steps < self.context.network.steps]
        conv = {
            key: deque(ring.bases)
            for key, ring in self._slots("fp.conv_fp", _with_shared(neurons, own)).items()
        }
        self.psums = {index: conv[index if index in own else SHARED] for index in neurons}
        self.u = self._slots("fp.u", neurons, least=2)
        fired = {each.index: words.fired(each) for each in layers}
        self.spike = self._slots("fp.spike", fired, least=2)
        self.s_out = self._slots("fp.s_out", {each.index: words.pooled(each) for each in layers})

    def _backward_rings(self, words: MapWords) -> None:
        last = self.context.layers[-1]
        losses: dict[int, int] = {LOSS: words.results(last)} if last in self.forward else {}
        neurons = {each.index: words.neurons(each) for each in self.forward}
        self.du_next = self._slots(
            "bp.du_next", {each.index: words.neurons(each) for each in self.gradients}, share=2
        )
        psums = {each.index: words.pooled_psums(each) for each in self._inner}
        conv = self._slots("bp.conv_bp", {**_with_shared(psums, ()), **losses})
        self.back_psums = deque(conv[SHARED].bases if psums else ())
        self.back_u = self._slots("bp.u", {**neurons, **losses})
        self.du = self._slots("bp.du", {**neurons, **losses}, least=2)
        bits = {
            each.index: words.fired(each) if each.masked else words.pooled(each)
            for each in self.forward
            if each.layer.pool > 1 or (each.masked and each in self._inner)
        }
        self.bits = self._slots("bp.s", {**bits, **losses}, share=2)
        if losses:
            self.loss = BackwardRings(
                conv=conv[LOSS], u=self.back_u[LOSS], du=self.du[LOSS], s=self.bits[LOSS]
            )

    def steps(self, *, last_first: bool = False) -> list[PartStep]:
        """All of a batch, parts ascending; of each, the first step or the ``last_first``."""
        steps = range(self.context.network.steps)
        return [
            PartStep(part, samples, t)
            for part, samples in enumerate(self.parts)
            for t in (reversed(steps) if last_first else steps)
        ]

    def fence(self) -> list[Builder]:
        """Ends what is one pipeline with the other cores; its two programs."""
        builders = [self.fp.builder, self.bp.builder]
        for builder in builders:
            builder.fence()
        return builders

    # --- What FP tells BP -------------------------------------------------------------------

    def may_begin(self, number: int) -> bool:
        """Whether FP may go on with a part, or is too far ahead."""
        return number < len(self.bp.builder.taken) + LEAD

    def finish(self, number: int) -> None:
        """FP of a layer and a part is in the program; if this was the last layer, BP is told."""
        self._finished[number] += 1
        if self._finished[number] < len(self.forward):
            return
        taken = self.bp.builder.taken
        comes = taken[number - LEAD] if number >= LEAD else START
        self._told.append(tell_forward(self.fp.builder, self.parts[number], comes=comes))

    def told(self, number: int) -> Moment | None:
        """When BP is told that FP of a part is done, if that is known."""
        return self._told[number] if number < len(self._told) else None

    def knows(self, samples: int) -> bool:
        """Whether BP has been told that FP of the first so many samples is done."""
        taken = len(self.bp.builder.taken)
        return samples <= (self.parts[taken - 1].stop if taken else 0)

    def take(self, number: int) -> None:
        """The next DMA_RD of BP is the first that needs FP of a part, or one behind it."""
        if number == len(self.bp.builder.taken):
            self.bp.builder.await_message(FORWARD_DONE, self._told[number], self.parts[number])


def _with_shared(needs: Mapping[int, int], own: Sequence[int]) -> dict[int, int]:
    """Slots for some layers each, and for all others together."""
    found: dict[int, int] = {index: needs[index] for index in own}
    others = [words for index, words in needs.items() if index not in own]
    return found | ({SHARED: max(others)} if others else {})
