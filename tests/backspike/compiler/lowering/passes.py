"""Commands of the soma and grad engines by themselves: what their instructions are decoded to."""

from __future__ import annotations

from typing import Any

from backspike.compiler.lowering.neuron import ElementOperands, NeuronArea
from backspike.hw.isa.table import IsaShape, instruction_set
from backspike.hw.isa.units import command_of

__all__ = ["Passes"]


class Passes(ElementOperands):
    """The same methods, which return the fields of the engine's command."""

    def soma(self, area: NeuronArea, **what: Any) -> dict[str, Any]:
        return self._command("fp", "FP_SOMA", super().soma(area, **what))

    def grad(self, area: NeuronArea, **what: Any) -> dict[str, Any]:
        return self._command("bp", "BP_GRAD", super().grad(area, **what))

    def soma_vector(self, area: NeuronArea, operation: Any, **what: Any) -> dict[str, Any]:
        return self._command("fp", "FP_VECTOR", super().soma_vector(area, operation, **what))

    def grad_vector(self, area: NeuronArea, operation: Any, **what: Any) -> dict[str, Any]:
        return self._command("bp", "BP_VECTOR", super().grad_vector(area, operation, **what))

    def _command(self, subcore: str, mnemonic: str, operands: dict[str, int]) -> dict[str, Any]:
        shape = IsaShape(format=self.format, lanes=self.lanes, pixels=self.pixels)
        instruction = instruction_set(shape, subcore)[mnemonic]
        return command_of(instruction.unit, instruction.evaluate(instruction.fill(operands)))
