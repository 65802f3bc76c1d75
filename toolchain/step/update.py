"""The weight update on the BP sub-core: all rows of weights of all layers, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hw.isa import Control
from toolchain.dram import Axis, transfers
from toolchain.program import At
from toolchain.step.parts import Ring, Room
from toolchain.step.setting import Builder

__all__ = ["RULE", "chunk_rows", "update"]

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


def update(builder: Builder) -> None:
    """Adds the update to a program; nothing changes if a status is set by then."""
    builder.phase("update")
    builder.add(
        "NOC_CTRL", {"flow_type": Control.COLLECT.value}, reason="a status stops the update"
    )
    chunks = _Chunks(builder)
    size, rows = chunk_rows(builder.setting.room), builder.setting.layout.rows
    body = LOOP_CHUNKS * size
    first = 0
    if rows >= 2 * body:
        room, layout = builder.setting.room, builder.setting.layout
        steps = body * layout.wide_row, body * room.row_bytes
        with builder.loop(rows // body, *steps, reason="the update, chunk by chunk") as moved:
            for begin in range(0, body, size):
                chunks.update(begin, size, *moved)
        first = rows // body * body
    for begin in range(first, rows, size):
        chunks.update(begin, min(size, rows - begin))


class _Chunks:
    """Updates chunks, and where in the SRAMs the next one goes."""

    def __init__(self, builder: Builder):
        self._builder, self._setting = builder, builder.setting
        size = chunk_rows(builder.setting.room)
        self._dw = Ring(0, 3 * size)
        self._stored = Ring(0, size)

    def update(
        self, begin: int, rows: int, wide: At | None = None, narrow: At | None = None
    ) -> None:
        """Updates ``rows`` rows from number ``begin`` on.

        ``wide`` is added to the addresses of what has binary32, ``narrow`` to those of the stored.
        """
        builder, layout, room = self._builder, self._setting.layout, self._setting.room
        weight_words = self._setting.config.array.weight_words
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


def _moved(
    copies: Iterable[Mapping[str, int]], step: At | None
) -> Iterator[Mapping[str, int | At]]:
    """DMA operands whose addresses in DRAM a loop steps."""
    for copy in copies:
        yield {**copy, "dram": step + copy["dram"]} if step else copy
