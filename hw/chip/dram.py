"""One port to DRAM for all cores of a chip."""

from __future__ import annotations

from typing import Any

from amaranth import Module
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.dma.arbiter import AxiReadArbiter, AxiWriteArbiter
from backspike.hw.dma.axi import AxiBus, AxiRead, AxiWrite, join
from backspike.hw.limits import check_whole

__all__ = ["SharedDram", "joined_id_bits"]


def joined_id_bits(columns: int, rows: int, id_bits: int) -> int:
    """Bits of id behind so many cores with ``id_bits`` each."""
    return id_bits + ceil_log2(columns) + ceil_log2(rows)


class SharedDram(EmitOnce):
    """Arbiters in two levels: the cores of a row share a port, and the rows another.

    An address takes a cycle in each level that has more than one master, data and answers none. For
    order and fairness see :mod:`backspike.hw.dma.arbiter`.

    Parameters
    ----------
    columns, rows : int
        Of the cores.
    data_bits, id_bits : int
        Of the ports of the cores.

    Members
    -------
    cores : In(AxiBus) x cores
        From west to east, north to south.
    bus : Out(AxiBus)
        The upper bits of an id are the row, those below the column.
    """

    _columns = Parameter[int]()
    _rows = Parameter[int]()
    _data_bits = Parameter[int]()
    _id_bits = Parameter[int]()

    def __init__(self, *, columns: int, rows: int, data_bits: int, id_bits: int):
        check_whole("SharedDram columns", columns, 1)
        check_whole("SharedDram rows", rows, 1)
        here = AxiBus(data_bits=data_bits, id_bits=id_bits)
        joined = joined_id_bits(columns, rows, id_bits)
        super().__init__(
            {
                "cores": In(here).array(columns * rows),
                "bus": Out(AxiBus(data_bits=data_bits, id_bits=joined)),
            },
            columns=columns,
            rows=rows,
            data_bits=data_bits,
            id_bits=id_bits,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        columns, count = self._columns, len(self.cores)
        for kind, arbiter in ((AxiRead, AxiReadArbiter), (AxiWrite, AxiWriteArbiter)):
            name = kind.__name__.lower()
            port = kind(data_bits=self._data_bits, id_bits=self._id_bits)

            def shared(place, clients, id_bits, name=name, arbiter=arbiter, port=port):
                if len(clients) == 1:
                    return clients[0]
                made = arbiter(clients=len(clients), data_bits=self._data_bits, id_bits=id_bits)
                m.submodules[f"{name}_{place}"] = made
                for client, here in zip(clients, made.clients, strict=True):
                    join(m, port, client, here)
                return made.bus

            rows = [
                shared(f"row_{at // columns}", self.cores[at : at + columns], self._id_bits)
                for at in range(0, count, columns)
            ]
            join(m, port, shared("rows", rows, self._id_bits + ceil_log2(columns)), self.bus)
        return m
