"""The packets of traffic benches: what is in them so that all that goes wrong is found."""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

import enum
from functools import reduce
from operator import xor

from amaranth import Cat, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from backspike.hw.noc.flit import SubCoreAddress

__all__ = [
    "COUNT_BITS",
    "FAULT_BITS",
    "LENGTH_BITS",
    "PAYLOAD_BITS",
    "RESULTS",
    "SETTINGS",
    "TAG_BITS",
    "TIME_BITS",
    "InjectedFault",
    "Pattern",
    "TrafficHead",
    "check_of",
    "following",
    "length_of",
    "sequence_ports",
]

TAG_BITS = 2
SEQUENCE_BITS = 10
TIME_BITS = 14
CHECK_BITS = 8
LENGTH_BITS = 5
COUNT_BITS = 32


class Pattern(enum.IntEnum):
    """Who sends to whom."""

    UNIFORM = 0  # to any sub-core of any other core
    TRANSPOSE = 1  # of n cores by rows to the one that has its number by columns
    COMPLEMENT = 2  # to the one opposite, through the centre
    HOTSPOT = 3  # a quarter to the FP sub-core in the north-west, else as UNIFORM
    NEIGHBOUR = 4  # to the next core of the row, by pairs
    PIPELINE = 5  # as layers do: FP to the next core's FP and its own BP, BP to the one before


class InjectedFault(enum.IntEnum):
    """What can be done to the flits that come to a sink, to see that it is found."""

    NONE = 0
    CORRUPT = 1
    DROP = 2
    CUT = 3
    MISROUTE = 4
    """They come to another sink than they should."""
    DOUBLE = 5
    """Each comes twice."""


FAULT_BITS = 3


class TrafficHead(data.Struct):
    """Payload of the first flit of a packet."""

    destination: SubCoreAddress
    source: SubCoreAddress
    tag: TAG_BITS
    sequence: SEQUENCE_BITS  # of packets with this source, destination and tag
    time: TIME_BITS  # when it was made
    check: CHECK_BITS  # of all the others


PAYLOAD_BITS = TrafficHead.as_shape().size


RESULTS = Signature(
    {
        "packets": Out(COUNT_BITS),
        "flits": Out(COUNT_BITS),
        # While ``count`` is high: flits and packets that came, their latency, and the lowest.
        "counted_flits": Out(COUNT_BITS),
        "counted_packets": Out(COUNT_BITS),
        "latency": Out(COUNT_BITS),
        "least_latency": Out(TIME_BITS),
        # What was found to be wrong, ever.
        "misrouted": Out(1),
        "out_of_order": Out(1),
        "corrupted": Out(1),
        "of_wrong_length": Out(1),
    }
)
"""What a sink has counted."""


def sequence_ports(m, columns, rows, other, tag):
    """Ports to the sequence number of the next packet from, or to, a sub-core with this tag."""
    x_bits, y_bits = exact_log2(columns), exact_log2(rows)
    m.submodules.sequences = sequences = Memory(
        shape=SEQUENCE_BITS, depth=1 << x_bits + y_bits + 1 + TAG_BITS, init=[]
    )
    read, write = sequences.read_port(domain="comb"), sequences.write_port()
    m.d.comb += [
        read.addr.eq(Cat(other.x[:x_bits], other.y[:y_bits], other.port, tag)),
        write.addr.eq(read.addr),
    ]
    return read, write


def check_of(head):
    """The check bits of a head: any bit of it that is wrong alone shows, and most others."""
    bits = head.as_value()[: PAYLOAD_BITS - CHECK_BITS]
    return reduce(xor, (bits[at : at + CHECK_BITS] for at in range(0, len(bits), CHECK_BITS)))


def following(payload):
    """The payload of the flit behind one: a packet is a chain that its head begins."""
    return (Cat(payload[-7:], payload[:-7]) + 0x9E3779B97F4A7)[:PAYLOAD_BITS]


def length_of(chain: Signal, least, spread):
    """Flits of a packet, from the payload that follows its head, less 1."""
    return least + (chain[:LENGTH_BITS] & spread)


SETTINGS = {
    "run": In(1),  # low before the start, for seeds
    "now": In(TIME_BITS),
    "least": In(LENGTH_BITS),  # flits of a packet, less 1
    "spread": In(LENGTH_BITS),  # bits of what comes to that at random
}
