"""From the geometry of maps to the commands of the soma and grad engines, in plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hw.arith.format import FP16, Float
from hw.limits import PLANE_MAX, POOLING_MAX, check_whole
from hw.memory.loops import COUNT_BITS
from hw.memory.place import Place
from hw.memory.port import ADDRESS_BITS
from hw.neuron.command import LEVELS, Destination, Operation, Source

__all__ = ["Area", "Passes"]

Fields = dict[str, Any]
# Members of Amaranth's enumerations look like plain numbers to a type checker: ``operation: Any``.


@dataclass(frozen=True, kw_only=True)
class Area:
    """What a pass covers: maps of ``h_size`` x ``w_size`` pixels and ``m_size`` channels.

    ``pooling`` is the side of the windows of max-pooling, 1 to 4; rows and columns left over
    belong to no window. ``samples`` maps are gone through one after the other.
    """

    h_size: int
    w_size: int
    m_size: int
    pooling: int = 1
    samples: int = 1

    def __post_init__(self) -> None:
        for name in ("h_size", "w_size", "samples"):
            check_whole(name, getattr(self, name), 1, (1 << COUNT_BITS) - 1)
        check_whole("m_size", self.m_size, 1, 1 << ADDRESS_BITS)
        check_whole("pooling", self.pooling, 1, POOLING_MAX)


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Builds commands for engines of ``lanes`` channels and ``pixels`` pixels in a spike word.

    Thresholds, leak and scalar are given as codes of ``format``. Methods return the values of the
    command's fields, and raise ValueError, in one sentence, for what the engines cannot do.
    """

    lanes: int
    pixels: int
    format: Float = FP16

    def soma(
        self,
        area: Area,
        *,
        t_acc: bool,
        alpha: int,
        th_f: int,
        conv: Place,
        u: Place,
        spike: Place,
        s_out: Place,
        u_prev: Place | None = None,
        spike_prev: Place | None = None,
        planes: int = 0,
    ) -> Fields:
        """A time step of Soma; ``planes`` is B, the last bit plane of a direct input.

        ``u_prev`` and ``spike_prev``, of the step before, are read with ``t_acc`` only.
        """
        if t_acc and (u_prev is None or spike_prev is None):
            raise ValueError("u_prev and spike_prev must be given with t_acc, not None")
        check_whole("planes", planes, 0, PLANE_MAX)
        return {
            "settings": self._settings(
                Operation.STEP, t_acc=int(t_acc), scale=planes, alpha=alpha, th_f=th_f
            ),
            "extent": self._extent(area),
            "conv_read": self._words("conv", conv, area),
            "u_read": self._words("u_prev", u_prev, area),
            "spike_read": self._bits("spike_prev", spike_prev, area),
            "write": self._words("u", u, area, written=True),
            "spike_write": self._bits("spike", spike, area, written=True),
            "s_out_write": self._bits("s_out", s_out, area, pooled=True, written=True),
        }

    def grad(
        self,
        area: Area,
        *,
        t_acc: bool,
        alpha: int,
        th_f: int,
        th_l: int,
        th_r: int,
        conv: Place,
        u: Place,
        du: Place,
        du_next: Place | None = None,
        s_out: Place | None = None,
    ) -> Fields:
        """A time step of Grad. ``conv``, and ``s_out``, the pooled spikes, have the pooled size.

        ``du_next``, of the step after, is read with ``t_acc`` only, ``s_out`` with pooling only.
        """
        if t_acc and du_next is None:
            raise ValueError("du_next must be given with t_acc, not None")
        if area.pooling > 1 and s_out is None:
            raise ValueError("s_out must be given with pooling, not None")
        return {
            "settings": self._settings(
                Operation.STEP, t_acc=int(t_acc), alpha=alpha, th_f=th_f, th_l=th_l, th_r=th_r
            ),
            "extent": self._extent(area),
            "conv_read": self._words("conv", conv, area, pooled=True),
            "u_read": self._words("u", u, area),
            "du_read": self._words("du_next", du_next, area),
            "s_read": self._bits("s_out", s_out, area, pooled=True),
            "write": self._words("du", du, area, written=True),
        }

    def soma_vector(
        self,
        area: Area,
        operation: Any,
        *,
        conv: Place | None = None,
        u: Place | None = None,
        bits: Place | None = None,
        planes: int = 0,
        **common: Any,
    ) -> Fields:
        """A vector operation of the soma engine on psums, u, spikes and a scalar.

        ``conv``, ``u`` and ``bits`` say where those of them lie that are read, ``planes`` is B of
        the psums; for ``common`` see :meth:`_vector`.
        """
        reads = {Source.CONV: conv, Source.U: u, Source.BITS: bits}
        fields = self._vector("spike", reads, area, operation, **common)
        fields["settings"]["scale"] = check_whole("planes", planes, 0, PLANE_MAX)
        return fields

    def grad_vector(
        self,
        area: Area,
        operation: Any,
        *,
        conv: Place | None = None,
        u: Place | None = None,
        bits: Place | None = None,
        du: Place | None = None,
        **common: Any,
    ) -> Fields:
        """A vector operation of the grad engine on psums, u, du, bits of s and a scalar.

        Places say where those of them lie that are read; for ``common`` see :meth:`_vector`.
        """
        reads = {Source.CONV: conv, Source.U: u, Source.BITS: bits, Source.DU: du}
        return self._vector("s", reads, area, operation, **common)

    def _vector(
        self,
        bits_memory: str,
        reads: Mapping[Source, Place | None],
        area: Area,
        operation: Any,
        *,
        x: Source,
        y: Source | None = None,
        to: Destination | None = None,
        write: Place,
        scalar: int = 0,
        low: int = 0,
        high: int = 0,
    ) -> Fields:
        """One operation over maps: what soma and grad engine have in common.

        To scale is to MULTIPLY by SCALAR; to accumulate is to ADD with the destination as an
        operand; to copy is to ADD the SCALAR -0. ``x`` and ``y`` are the operands (COMPARE has no
        ``y``), ``scalar`` is the operand SCALAR, ``low`` and ``high`` are the bounds of COMPARE;
        ``to`` is BITS for COMPARE and MAP otherwise, unless it is CONV; ``write`` says where there.
        """
        compare = operation is Operation.COMPARE
        to = to or (Destination.BITS if compare else Destination.MAP)
        if operation is Operation.STEP:
            raise ValueError("operation must be one of two operands or COMPARE, not STEP")
        if area.pooling != 1:
            raise ValueError(f"pooling must be 1 in a vector operation, not {area.pooling}")
        if (to is Destination.BITS) != compare:
            raise ValueError(f"to must be BITS for COMPARE and only then, not {to.name}")
        if (y is None) != compare:
            raise ValueError(f"y must be left out for COMPARE and only then, not {y}")
        sources = {"x": x, "y": x if y is None else y}
        for name, source in sources.items():
            if source is not Source.SCALAR and reads.get(source) is None:
                raise ValueError(
                    f"{name} must be SCALAR or have a place to read, not {source.name}"
                )
        settings = self._settings(operation, scalar=scalar, th_l=low, th_r=high)
        fields: Fields = {
            "settings": {**settings, **sources, "destination": to},
            "extent": self._extent(area),
        }
        for source, at in reads.items():
            name = source.name.lower()
            if source is Source.BITS:
                fields[f"{bits_memory}_read"] = self._bits(name, at, area)
            else:
                fields[f"{name}_read"] = self._words(name, at, area)
        if compare:
            fields[f"{bits_memory}_write"] = self._bits("write", write, area, written=True)
        else:
            fields["write"] = self._words("write", write, area, written=True)
        return fields

    def _settings(self, operation: Any, **values: int) -> Fields:
        for name in ("alpha", "scalar", "th_f", "th_l", "th_r"):
            if name in values:
                check_whole(name, values[name], 0, (1 << self.format.width) - 1)
        return {"operation": operation, **values}

    def _tiles(self, area: Area) -> int:
        return check_whole(
            f"m_size = {area.m_size} in tiles of {self.lanes}",
            -(-area.m_size // self.lanes),
            1,
            (1 << COUNT_BITS) - 1,
        )

    def _extent(self, area: Area) -> Fields:
        p = area.pooling
        return {
            "samples": area.samples,
            "tiles": self._tiles(area),
            "window_rows": -(-area.h_size // p),
            "window_columns": -(-area.w_size // p),
            "pooling": p,
            "last_rows": area.h_size % p or p,
            "last_columns": area.w_size % p or p,
            "last_lanes": area.m_size % self.lanes or self.lanes,
        }

    def _resolved(
        self,
        name: str,
        at: Place,
        area: Area,
        *,
        row_pixels: int = 1,
        pooled: bool,
        written: bool,
    ) -> Place:
        """The place with all its strides; raises if the map leaves the memory."""
        p = area.pooling if pooled else 1
        return at.of(
            name,
            row_words=max(1, -(-(area.w_size // p) // row_pixels)),
            rows=max(1, area.h_size // p),
            tiles=self._tiles(area),
            samples=area.samples,
            written=written,
        )

    def _words(
        self,
        name: str,
        at: Place | None,
        area: Area,
        *,
        pooled: bool = False,
        written: bool = False,
    ) -> Fields:
        """The Address of a map with a word a pixel."""
        if at is None:
            return _address(0)
        at = self._resolved(name, at, area, pooled=pooled, written=written)
        outer = {"sample": at.sample, "tile": at.tile}
        if pooled:
            return _address(at.base, window_row=at.row, window_column=1, **outer)
        p = area.pooling
        windows = {"window_row": p * at.row, "window_column": p}
        return _address(at.base, row=at.row, column=1, **windows, **outer)

    def _bits(
        self,
        name: str,
        at: Place | None,
        area: Area,
        *,
        pooled: bool = False,
        written: bool = False,
    ) -> Fields:
        """The BitAddress of a bit map."""
        if at is None:
            return {"row": _address(0), "column": _address(0)}
        at = self._resolved(name, at, area, row_pixels=self.pixels, pooled=pooled, written=written)
        outer = {"sample": at.sample, "tile": at.tile}
        if pooled:
            return {
                "row": _address(at.base, window_row=at.row, **outer),
                "column": _address(0, window_column=1),
            }
        p = area.pooling
        return {
            "row": _address(at.base, window_row=p * at.row, row=at.row, **outer),
            "column": _address(0, window_column=p, column=1),
        }


def _address(base: int, **strides: int) -> Fields:
    mask = (1 << ADDRESS_BITS) - 1
    return {"base": base, "stride": [strides.get(level, 0) & mask for level in LEVELS]}
