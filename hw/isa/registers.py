"""Registers of a unit, as the controller sees them, and the command that they make.

The decoder writes registers by number, as many as a command has independent parts; what follows
from them without arithmetic is wired here, alike for Amaranth's values and for plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data

from backspike.hw.isa.neuron.command import LEVELS, ElementExtent, ElementSettings
from backspike.hw.isa.neuron.kinds import ElementKind
from backspike.hw.isa.noc.command import CopyCommand
from backspike.hw.limits import ADDRESS_BITS

__all__ = ["UnitRegisters", "copy_registers", "element_registers", "flat_registers"]

Nested = dict[str, Any]
MAP_PARTS = ("base", "sample", "tile", "window", "row")
"""Registers of a map: its first word, and words from one item to the next."""


@dataclass(frozen=True)
class UnitRegisters:
    """Registers of one unit, and ``expand``: from their values to the fields of the command."""

    command: Any
    bits: Mapping[str, int]
    expand: Callable[[Mapping[str, Any]], Nested]


def _bits(struct: Any) -> dict[str, int]:
    return {name: Shape.cast(field.shape).width for name, field in data.Layout.cast(struct)}


def flat_registers(struct: Any, *, without: tuple[str, ...] = ()) -> UnitRegisters:
    """A register for each field of the command, but for those that come from elsewhere."""
    bits = {name: width for name, width in _bits(struct).items() if name not in without}
    return UnitRegisters(struct, bits, lambda values: {name: values.get(name, 0) for name in bits})


def _strides(**strides: Any) -> list[Any]:
    return [strides.get(level, 0) for level in LEVELS]


def element_registers(kind: ElementKind) -> UnitRegisters:
    """A map's strides inside of windows follow from its rows and the side of a window."""
    words = {f"{each.memory}_read": each.by_window for each in kind.word_operands}
    words["write"] = False
    bit_maps = {f"{kind.bit_operand.memory}_read": kind.bit_operand.by_window}
    bit_maps |= {f"{each.memory}_write": each.pooled for each in kind.bit_results}
    bits = {**_bits(ElementSettings), **_bits(ElementExtent)}
    bits |= {f"{port}_{part}": ADDRESS_BITS for port in (*words, *bit_maps) for part in MAP_PARTS}

    def expand(values: Mapping[str, Any]) -> Nested:
        values = {**dict.fromkeys(bits, 0), **values}

        def rows(port: str, pooled: bool, **more: Any) -> Nested:
            base, sample, tile, window, row = (values[f"{port}_{part}"] for part in MAP_PARTS)
            strides = {"sample": sample, "tile": tile, "window_row": window, **more}
            if not pooled:
                strides["row"] = row
            return {"base": base, "stride": _strides(**strides)}

        def columns(pooled: bool) -> Nested:
            if pooled:
                return {"window_column": 1}
            return {"window_column": values["pooling"], "column": 1}

        fields: Nested = {
            "settings": {name: values[name] for name in _bits(ElementSettings)},
            "extent": {name: values[name] for name in _bits(ElementExtent)},
        }
        for port, pooled in words.items():
            fields[port] = rows(port, pooled, **columns(pooled))
        for port, pooled in bit_maps.items():
            column = {"base": 0, "stride": _strides(**columns(pooled))}
            fields[port] = {"row": rows(port, pooled), "column": column}
        return fields

    return UnitRegisters(kind.command, bits, expand)


def copy_registers() -> UnitRegisters:
    """A copy (``moves``), or what NOC_CTRL asks for, over the connection of ``copy``."""
    copy = flat_registers(CopyCommand)
    control = {"moves": 1, "flow_type": 3, "msg_box": 3}
    command = data.StructLayout({"copy": CopyCommand, **control})

    def expand(values: Mapping[str, Any]) -> Nested:
        return {"copy": copy.expand(values), **{name: values.get(name, 0) for name in control}}

    return UnitRegisters(command, {**copy.bits, **control}, expand)
