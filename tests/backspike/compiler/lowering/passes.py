"""Commands of the soma and grad engines by themselves: what their instructions are decoded to."""

from __future__ import annotations

from typing import Any

from backspike.compiler.lowering.layout import Layout
from backspike.compiler.lowering.neuron import ElementOperands, NeuronArea
from backspike.hw.isa.neuron.command import Source
from backspike.hw.isa.table import IsaShape
from backspike.hw.limits import PLANE_MAX, check_whole
from scripts.bench.rtl.passes import decoded

__all__ = ["AllOperands", "Passes"]


class AllOperands(ElementOperands):
    """Those of FP_VECTOR as well, which no compiled program has."""

    def soma_vector(
        self,
        area: NeuronArea,
        operation: Any,
        *,
        conv: Layout | None = None,
        u: Layout | None = None,
        bits: Layout | None = None,
        planes: int = 0,
        **common: Any,
    ) -> dict[str, Any]:
        """FP_VECTOR: an operation on psums, u, spikes and a scalar.

        ``conv``, ``u`` and ``bits`` say where those of them lie that are read, ``planes`` is B of
        the psums; for ``common`` see :meth:`_vector`.
        """
        reads: dict[Any, Layout | None] = {Source.CONV: conv, Source.U: u, Source.BITS: bits}
        check_whole("planes", planes, 0, PLANE_MAX)
        return {**self._vector(reads, area, operation, **common), "scale": planes}


class Passes(AllOperands):
    """The same methods, which return the fields of the engine's command."""

    def soma(self, area: NeuronArea, **what: Any) -> dict[str, Any]:
        return self._command("FP_SOMA", super().soma(area, **what))

    def grad(self, area: NeuronArea, **what: Any) -> dict[str, Any]:
        return self._command("BP_GRAD", super().grad(area, **what))

    def soma_vector(self, area: NeuronArea, operation: Any, **what: Any) -> dict[str, Any]:
        return self._command("FP_VECTOR", super().soma_vector(area, operation, **what))

    def grad_vector(self, area: NeuronArea, operation: Any, **what: Any) -> dict[str, Any]:
        return self._command("BP_VECTOR", super().grad_vector(area, operation, **what))

    def _command(self, mnemonic: str, operands: dict[str, int]) -> dict[str, Any]:
        shape = IsaShape(format=self.format, lanes=self.lanes, pixels=self.pixels)
        return decoded(mnemonic, shape, operands)
