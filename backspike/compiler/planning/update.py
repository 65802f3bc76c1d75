"""The weight update on the BP sub-core: rows of weights, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from backspike.compiler.assembling.program import At
from backspike.compiler.memory.dram import Axis, transfers
from backspike.compiler.memory.parts import Ring, Room
from backspike.compiler.planning.context import Builder
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import ROUTES

__all__ = ["RULE", "Delivery", "UpdatePlan", "chunk_rows"]

RULE = ("k", "wd", "mu", "lr")
"""Operands of WU that change from step to step, and the names of their scalars."""
LOOP_CHUNKS = 8
"""Chunks in the body of a loop, between which and the next one nothing overlaps."""


def chunk_rows(room: Room) -> int:
    """Rows of weight tiles that are updated at a time.

    Raises
    ------
    ValueError
        If there is no room for so few that they fill a beat of the bus.
    """
    weight_words = room.config.array.weight_words
    # Twice dw, w and v in bp.dw, twice what is stored in bp.w.
    fit = min(room.words("bp.dw") // 6, room.words("bp.w") * weight_words // 2)
    unit = max(weight_words, room.bus_bytes // room.row_bytes)
    if fit < unit:
        raise ValueError(
            f"bp.dw and bp.w must have room for an update of {unit} rows of weights at a time, "
            f"not of {fit}"
        )
    return fit // unit * unit


class Delivery(NamedTuple):
    """Where else stored weights go: to fp.w of the core behind a connection."""

    tag: int
    base: int
    """First word there."""


class UpdatePlan:
    """The update of rows of weights; nothing changes if a status was collected in front of it."""

    def __init__(self, builder: Builder):
        self._builder, self._context = builder, builder.context
        self._size = chunk_rows(builder.context.room)
        self._dw = Ring(0, 3 * self._size)
        self._stored = Ring(0, self._size)

    def rows(self, first: int, count: int, delivery: Delivery | None = None) -> None:
        """Adds the update of ``count`` rows from number ``first`` on to the program."""
        room, layout = self._context.room, self._context.layout
        weight_words = self._context.config.array.weight_words
        size, body = self._size, LOOP_CHUNKS * self._size
        end, looped = first + count, count // body * body

        def there(begin: int) -> Delivery | None:
            words = (begin - first) // weight_words
            return delivery and delivery._replace(base=delivery.base + words)

        if looped > body:
            steps = body * layout.wide_row, body * room.row_bytes, body // weight_words
            with self._builder.loop(
                looped // body,
                *(steps if delivery else steps[:2]),
                reason="the update, chunk by chunk",
            ) as moved:
                for begin in range(first, first + body, size):
                    self._chunk(begin, size, there(begin), *moved)
        else:
            looped = 0
        for begin in range(first + looped, end, size):
            self._chunk(begin, min(size, end - begin), there(begin))

    def _chunk(
        self,
        begin: int,
        rows: int,
        delivery: Delivery | None,
        wide: At | None = None,
        narrow: At | None = None,
        there: At | None = None,
    ) -> None:
        """Updates ``rows`` rows from number ``begin`` on.

        ``wide`` is added to the addresses of what has binary32, ``narrow`` to those of the stored,
        ``there`` to those on the other core.
        """
        builder, layout, room = self._builder, self._context.layout, self._context.room
        weight_words = self._context.config.array.weight_words
        dw, stored = self._dw.take(), self._stored.take()
        what = f"weight rows {begin}-{begin + rows - 1}" + (" of each round" if wide else "")

        def arrays(base: int, dram: int, count: int) -> Iterator[Mapping[str, int | At]]:
            copies = transfers(
                base=base,
                dram=dram + begin * layout.wide_row,
                axes=[Axis(count, rows, layout.w - layout.dw)],
                words=rows,
                word_bytes=layout.wide_row,
            )
            return _moved(copies, wide)

        def weights() -> Iterator[Mapping[str, int | At]]:
            copies = transfers(
                base=stored // weight_words,
                dram=layout.stored + begin * room.row_bytes,
                axes=[],
                words=rows // weight_words,
                word_bytes=room.row_bytes * weight_words,
            )
            return _moved(copies, narrow)

        builder.move("DMA_RD", "dw", arrays(dw, layout.dw, 3), reason=f"dw, w and v of {what}")
        # A WU that does nothing leaves these as they are, and they are stored again all the same.
        builder.move("DMA_RD", "w", weights(), reason=f"stored weights of {what}")
        builder.add(
            "WU",
            {"words": rows, "dw": dw, "w": dw + rows, "v": dw + 2 * rows, "stored": stored},
            reason=f"WU of {what}",
            scalars={name: name for name in RULE},
        )
        builder.move("DMA_WR", "dw", arrays(dw + rows, layout.w, 2), reason=f"w and v of {what}")
        builder.move("DMA_WR", "w", weights(), reason=f"stored weights of {what}")
        if delivery:
            operands = {
                "flow_type": Flow.UNICAST.value,
                "data_type": ROUTES["bp"].index(("w", "fp.w")),
                "tag_id": delivery.tag,
                "source": stored // weight_words,
                "destination": delivery.base if there is None else there + delivery.base,
                "words": rows // weight_words,
            }
            builder.add("NOC_DATA", operands, reason=f"stored weights of {what} for FP")


def _moved(
    copies: Iterable[Mapping[str, int]], step: At | None
) -> Iterator[Mapping[str, int | At]]:
    """DMA operands whose addresses in DRAM a loop steps."""
    for copy in copies:
        yield {**copy, "dram": step + copy["dram"]} if step else copy
