"""What goes through the network on chip: flits, and the destination that a packet begins with."""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data

from backspike.hw.limits import check_whole

__all__ = ["COORDINATE_BITS", "DESTINATION_BITS", "SubCoreAddress", "flit_layout"]

COORDINATE_BITS = 4
"""Bits of a coordinate: meshes have up to 16 x 16 cores, those of joined chips together."""


class SubCoreAddress(data.Struct):
    """The lowest bits of a head's payload: a sub-core, by its coordinates in the whole mesh."""

    x: COORDINATE_BITS  # columns from the west
    y: COORDINATE_BITS  # rows from the north
    port: 1  # 0 for the FP sub-core, 1 for the BP sub-core


DESTINATION_BITS = SubCoreAddress.as_shape().size


def flit_layout(payload_bits: int) -> data.StructLayout:
    """A flit: ``payload``, and whether it is the ``last`` one of its packet.

    A packet is a head, whose payload begins with a :class:`SubCoreAddress`, and the flits behind it
    up to the last one, which may be the head itself.

    Raises
    ------
    ValueError
        If no destination fits in the payload.
    """
    check_whole("payload_bits", payload_bits, DESTINATION_BITS)
    return data.StructLayout({"payload": payload_bits, "last": 1})
