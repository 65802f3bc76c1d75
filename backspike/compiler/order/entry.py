"""An instruction of a program in the making: what it touches, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from backspike.compiler.assembling.program import At
from backspike.compiler.order.timeline import Moment
from backspike.compiler.order.touch import Touch

__all__ = ["MessageWaits", "PendingInstruction"]


class MessageWaits(TypedDict, total=False):
    """What an instruction has to do with other programs: arguments of :meth:`OrderedProgram.add`.

    boxes : tuple of int
        Message boxes that it takes a message out of before it starts.
    comes : Moment
        Of what sends the last of the messages.
    exchanged : iterable of Touch
        What others do to SRAMs of this sub-core, behind the message that this instruction is, or in
        front of those that it waits for.
    """

    boxes: tuple[int, ...]
    comes: Moment
    exchanged: Iterable[Touch]


@dataclass(eq=False)
class PendingInstruction:
    """An instruction, before it is known where it stands."""

    mnemonic: str
    unit: str
    operands: Mapping[str, int | At]
    reason: str
    touches: Sequence[Touch]
    decoding: int
    """Cycles that the decoder takes for it."""
    cycles: int
    start: int
    """About when it starts."""
    work: int
    moment: Moment
    comes: Moment
    boxes: tuple[int, ...]
    scalars: Mapping[str, str]

    @property
    def end(self) -> int:
        """About when it is done."""
        return self.start + self.cycles
