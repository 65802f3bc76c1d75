"""From the geometry of maps to the operands of soma, grad and vector instructions, in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backspike.compiler.lowering.layout import Layout, Strides
from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.isa.neuron.command import Destination, Operation, Source
from backspike.hw.isa.operands import COUNT_MAX
from backspike.hw.limits import ADDRESS_BITS, PLANE_MAX, POOLING_MAX, check_whole

__all__ = ["ElementOperands", "NeuronArea"]

NOWHERE = Strides(base=0, row=0, tile=0, step=0, sample=0)
"""Of a map that an instruction does not use."""

Operands = dict[str, Any]
# Members of Amaranth's enumerations look like plain numbers to a type checker: ``operation: Any``.


@dataclass(frozen=True, kw_only=True)
class NeuronArea:
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
            check_whole(name, getattr(self, name), 1, COUNT_MAX)
        check_whole("m_size", self.m_size, 1, 1 << ADDRESS_BITS)
        check_whole("pooling", self.pooling, 1, POOLING_MAX)


@dataclass(frozen=True, kw_only=True)
class ElementOperands:
    """Builds operands for engines of ``lanes`` channels and ``pixels`` pixels in a spike word.

    Thresholds, decay and scalar are given as codes of ``format``. Methods raise ValueError, in one
    sentence, for what the engines cannot do.
    """

    lanes: int
    pixels: int
    format: Float = BINARY16

    def soma(
        self,
        area: NeuronArea,
        *,
        t_acc: bool,
        alpha: int,
        th_f: int,
        conv: Layout,
        u: Layout,
        spike: Layout,
        s_out: Layout,
        u_prev: Layout | None = None,
        spike_prev: Layout | None = None,
        planes: int = 0,
    ) -> Operands:
        """FP_SOMA, a time step; ``planes`` is B, the last bit plane of a direct input.

        ``u_prev`` and ``spike_prev``, of the step before, are read with ``t_acc`` only.
        """
        if t_acc and (u_prev is None or spike_prev is None):
            raise ValueError("u_prev and spike_prev must be given with t_acc, not None")
        check_whole("planes", planes, 0, PLANE_MAX)
        return {
            **self._settings(t_acc=int(t_acc), scale=planes, alpha=alpha, th_f=th_f),
            **self._extent(area),
            **self._map("conv", conv, area),
            **self._map("u_prev", u_prev, area),
            **self._map("spike_prev", spike_prev, area, bits=True),
            **self._map("u", u, area, written=True),
            **self._map("spike", spike, area, bits=True, written=True),
            **self._map("s_out", s_out, area, bits=True, pooled=True, written=True),
        }

    def grad(
        self,
        area: NeuronArea,
        *,
        t_acc: bool,
        alpha: int,
        th_f: int,
        th_l: int,
        th_r: int,
        conv: Layout,
        u: Layout,
        du: Layout,
        du_next: Layout | None = None,
        s_out: Layout | None = None,
    ) -> Operands:
        """BP_GRAD, a time step. ``conv``, and ``s_out``, the pooled spikes, have the pooled size.

        ``du_next``, of the step after, is read with ``t_acc`` only, ``s_out`` with pooling only.
        """
        if t_acc and du_next is None:
            raise ValueError("du_next must be given with t_acc, not None")
        if area.pooling > 1 and s_out is None:
            raise ValueError("s_out must be given with pooling, not None")
        return {
            **self._settings(t_acc=int(t_acc), alpha=alpha, th_f=th_f, th_l=th_l, th_r=th_r),
            **self._extent(area),
            **self._map("conv", conv, area, pooled=True),
            **self._map("u", u, area),
            **self._map("du_next", du_next, area),
            **self._map("s_out", s_out, area, bits=True, pooled=True),
            **self._map("du", du, area, written=True),
        }

    def grad_vector(
        self,
        area: NeuronArea,
        operation: Any,
        *,
        conv: Layout | None = None,
        u: Layout | None = None,
        bits: Layout | None = None,
        du: Layout | None = None,
        **common: Any,
    ) -> Operands:
        """BP_VECTOR: an operation on psums, u, du, bits of s and a scalar.

        Places say where those of them lie that are read; for ``common`` see :meth:`_vector`.
        """
        reads: dict[Any, Layout | None] = {
            Source.CONV: conv,
            Source.U: u,
            Source.BITS: bits,
            Source.DU: du,
        }
        return self._vector(reads, area, operation, **common)

    def _vector(
        self,
        reads: Mapping[Any, Layout | None],
        area: NeuronArea,
        operation: Any,
        *,
        x: Source,
        y: Source | None = None,
        to: Any = None,
        write: Layout,
        scalar: int = 0,
        low: int = 0,
        high: int = 0,
    ) -> Operands:
        """One operation over maps: what soma and grad engine have in common.

        To scale is to MULTIPLY by SCALAR; to accumulate is to ADD with the destination as an
        operand; to copy is to ADD the SCALAR -0. ``x`` and ``y`` are the operands (COMPARE has no
        ``y``), ``scalar`` is the operand SCALAR, ``low`` and ``high`` are the bounds of COMPARE;
        ``to`` is BITS for COMPARE and MAP otherwise, unless it is CONV; ``write`` says where there.
        """
        compare = operation is Operation.COMPARE
        if to is None:
            to = Destination.BITS if compare else Destination.MAP
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
        extent = self._extent(area)
        for name in ("pooling", "last_rows", "last_columns"):
            del extent[name]
        operands = {
            **self._settings(scalar=scalar, th_l=low, th_r=high),
            **extent,
            "operation": operation.value,
            "x": sources["x"].value,
            "y": sources["y"].value,
            "destination": to.value,
            **self._map("write", write, area, bits=compare, written=True),
        }
        for source, at in reads.items():
            operands |= self._map(source.name.lower(), at, area, bits=source is Source.BITS)
        return operands

    def _settings(self, **values: int) -> Operands:
        for name in ("alpha", "scalar", "th_f", "th_l", "th_r"):
            if name in values:
                check_whole(name, values[name], 0, (1 << self.format.width) - 1)
        return values

    def _tiles(self, area: NeuronArea) -> int:
        return check_whole(
            f"m_size = {area.m_size} in tiles of {self.lanes}",
            -(-area.m_size // self.lanes),
            1,
            COUNT_MAX,
        )

    def _extent(self, area: NeuronArea) -> Operands:
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

    def _map(
        self,
        name: str,
        at: Layout | None,
        area: NeuronArea,
        *,
        bits: bool = False,
        pooled: bool = False,
        written: bool = False,
    ) -> Operands:
        """Base and strides of a map with a word a pixel, or of a bit map; zeros if it is None.

        Raises ValueError if the map leaves the memory.
        """
        full = NOWHERE
        if at is not None:
            p, row_pixels = area.pooling if pooled else 1, self.pixels if bits else 1
            full = at.of(
                name,
                row_words=max(1, -(-(area.w_size // p) // row_pixels)),
                rows=max(1, area.h_size // p),
                tiles=self._tiles(area),
                samples=area.samples,
                written=written,
            )
        return full.operands(name, "base", "sample", "tile", "row")
