"""What is between cores: connections, message boxes, and slots that one fills for another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from backspike.compiler.order.entry import MessageWaits
from backspike.compiler.order.timeline import START, Moment
from backspike.compiler.order.touch import Touch
from backspike.compiler.planning.context import FORWARD_DONE, Builder
from backspike.hw.config import ChipConfig
from backspike.hw.core.connection import Connection, Place
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import BOXES, ROUTES, Control

__all__ = ["Edge", "End", "Wiring", "signal"]


@dataclass(frozen=True, kw_only=True)
class End:
    """A sub-core with its program."""

    place: Place
    builder: Builder


class Wiring:
    """Gives out message boxes and tags.

    Attributes
    ----------
    connections : mapping of place to mapping of sub-core to mapping of tag to Connection
    """

    def __init__(self, config: ChipConfig):
        self._tags = config.noc.connections
        self._boxes: dict[tuple[Place, str], int] = defaultdict(int)
        self.connections: dict[Place, dict[str, dict[int, Connection]]] = {}

    def box(self, end: End) -> int:
        """A message box that nobody else uses.

        Raises
        ------
        ValueError
            If there is none left.
        """
        key = end.place, end.builder.subcore
        first = FORWARD_DONE + 1 if end.builder.subcore == "bp" else 0
        number = first + self._boxes[key]
        if number >= BOXES:
            raise ValueError(
                f"the {end.builder.subcore.upper()} sub-core of core {end.place} has "
                f"{BOXES - first} message boxes, and the layers placed there need more"
            )
        self._boxes[key] += 1
        return number

    def tag(self, here: End, there: End) -> int:
        """The tag of a connection.

        Raises
        ------
        ValueError
            If there is none left.
        """
        tags = self.connections.setdefault(here.place, {}).setdefault(here.builder.subcore, {})
        connection = Connection(place=there.place, subcore=there.builder.subcore)
        for tag, known in tags.items():
            if known == connection:
                return tag
        if len(tags) == self._tags:
            raise ValueError(
                f"the {here.builder.subcore.upper()} sub-core of core {here.place} has "
                f"{self._tags} connections, and the layers placed there need more"
            )
        tags[len(tags)] = connection
        return len(tags) - 1


def signal(
    here: End,
    tag: int,
    box: int,
    reason: str,
    *,
    flow: Control = Control.REMOTE_SIGNAL,
    **waits: Unpack[MessageWaits],
) -> Moment:
    """Adds a message for a box of the sub-core behind a tag."""
    operands = {"flow_type": flow.value, "tag_id": tag, "msg_box": box}
    return here.builder.add("NOC_CTRL", operands, reason=reason, **waits)


class Edge:
    """Slots of an SRAM that the stage of one layer fills for that of the next, in turn.

    If they are on different cores, a message tells that a slot is full, and another one that it may
    be filled again; within a core the barriers are enough.

    Parameters
    ----------
    wiring : Wiring
    source, target : End
    route : (str, str)
        SRAM of the source, and that of the target by its full name.
    slots : sequence of int
        First words.
    words : int
        Of a slot.
    total : int
        Times that one is filled in a batch.
    """

    def __init__(
        self,
        wiring: Wiring,
        source: End,
        target: End,
        *,
        route: tuple[str, str],
        slots: Sequence[int],
        words: int,
        total: int,
    ):
        self._source, self._target = source, target
        self._slots, self._words, self._total = slots, words, total
        self._route, self._sram = ROUTES[source.builder.subcore].index(route), route[1]
        self._leaves = source.place != target.place
        if self._leaves:
            self._there, self._back = wiring.tag(source, target), wiring.tag(target, source)
            self._full, self._free = wiring.box(target), wiring.box(source)
        self._arrivals: list[Moment] = []
        self._credits: list[Moment] = []
        self._received = 0

    def is_free(self, number: int) -> bool:
        """Whether all that must be done before slots are filled for that time is in programs."""
        return number < len(self._credits) + len(self._slots)

    @property
    def arrival(self) -> Moment | None:
        """When the next slot is full, if that is known."""
        if self._received < len(self._arrivals):
            return self._arrivals[self._received]
        return None

    def send(self, base: int, words: int, what: str) -> None:
        """Fills a slot with words from ``base`` on, and says so."""
        number = len(self._arrivals)
        operands = {
            "flow_type": (Flow.UNICAST if self._leaves else Flow.CORE).value,
            "data_type": self._route,
            "source": base,
            "destination": self._slots[number % len(self._slots)],
            "words": words,
        }
        waits: MessageWaits = {}
        if self._leaves:
            operands["tag_id"] = self._there
            again = number - len(self._slots)
            if again >= 0:
                waits = {"boxes": (self._free,), "comes": self._credits[again]}
        moment = self._source.builder.add("NOC_DATA", operands, reason=what, **waits)
        if self._leaves:
            moment = signal(self._source, self._there, self._full, f"there: {what}")
        self._arrivals.append(moment)

    def receive(self) -> tuple[int, MessageWaits]:
        """Where the next slot lies, and what the first instruction that reads it waits for."""
        base = self._slots[self._received % len(self._slots)]
        arrival = self._arrivals[self._received]
        self._received += 1
        if not self._leaves:
            return base, {}
        return base, {"boxes": (self._full,), "comes": arrival, "exchanged": [self._touch(base)]}

    def release(self, what: str) -> None:
        """Says that the slot that was received last may be filled again, when it is read."""
        number = len(self._credits)
        moment = START
        # The last ones would be left in the box.
        if self._leaves and number + len(self._slots) < self._total:
            base = self._slots[number % len(self._slots)]
            moment = signal(
                self._target, self._back, self._free, what, exchanged=[self._touch(base)]
            )
        self._credits.append(moment)

    def _touch(self, base: int) -> Touch:
        return Touch(self._sram, base, base + self._words - 1, True)
