"""Commands of the element-wise engines: what they compute, and how they walk over memories.

Amaranth evaluates the annotations of a Struct, so they stay objects here.
"""

from amaranth.lib import data, enum

from backspike.hw.arith.format import BINARY32
from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS, LANE_BITS, PLANE_BITS

__all__ = [
    "LEVELS",
    "Address",
    "BitAddress",
    "Destination",
    "ElementExtent",
    "ElementSettings",
    "GradCommand",
    "Operation",
    "SomaCommand",
    "Source",
    "UpdateCommand",
]

LEVELS = ("sample", "tile", "window_row", "window_column", "row", "column")
"""Loops of a pass, outermost first; without pooling a window is one pixel."""
POOL_BITS = 3
"""Bits of the side of a pooling window: 1 to 4."""
ELEMENT_BITS = 16
"""Bits of a scalar operand; a narrower storage format uses the low ones."""
WORDS_BITS = ADDRESS_BITS + 1
"""Bits of the number of words of an update: a memory full of them, at most."""


class Operation(enum.Enum, shape=3):
    """What is computed for each value; each result is rounded once."""

    STEP = 0  # the neuron's own step: Soma or Grad
    ADD = 1  # x + y
    SUBTRACT = 2  # x - y
    MULTIPLY = 3  # x * y
    COMPARE = 4  # bit: th_l <= x <= th_r


class Source(enum.Enum, shape=3):
    """Where a vector operation takes an operand from."""

    CONV = 0  # RN16 of a psum
    U = 1
    BITS = 2  # a bit of the spike map as 1.0 or +0
    SCALAR = 3
    DU = 4  # grad engine only


class Destination(enum.Enum, shape=2):
    """Where a vector operation writes."""

    MAP = 0  # the u SRAM (soma) or du SRAM (grad)
    CONV = 1  # the conv SRAM, on its grid, with B = 0
    BITS = 2  # a bit map in the spike SRAM (soma) or s SRAM (grad); of COMPARE and no other


class Address(data.Struct):
    """An address, or a coordinate, as an affine function of the loop indices."""

    base: ADDRESS_BITS
    stride: data.ArrayLayout(ADDRESS_BITS, len(LEVELS))


class BitAddress(data.Struct):
    """Where a pixel of a bit map lies: word ``row + column // P``, pixel ``column % P`` of it."""

    row: Address
    column: Address


class ElementExtent(data.Struct):
    """Trip counts of the loops; the last row and column of windows may be cut off by the map."""

    samples: COUNT_BITS
    tiles: COUNT_BITS
    window_rows: COUNT_BITS  # windows, whole or not, one below the other
    window_columns: COUNT_BITS
    pooling: POOL_BITS  # side of a window
    last_rows: POOL_BITS  # rows of the last row of windows
    last_columns: POOL_BITS
    last_lanes: LANE_BITS  # lanes in use in the last tile


class ElementSettings(data.Struct):
    """What a pass computes. ``x``, ``y`` and ``destination`` are of vector operations only."""

    operation: Operation
    x: Source
    y: Source
    destination: Destination
    t_acc: 1  # STEP: whether there is a step before (soma) or after (grad) this one
    scale: PLANE_BITS  # B of the psums read (soma)
    alpha: ELEMENT_BITS  # decay of STEP
    scalar: ELEMENT_BITS  # operand SCALAR
    th_f: ELEMENT_BITS  # a neuron fires from th_f on
    th_l: ELEMENT_BITS  # window of the surrogate derivative, and of COMPARE
    th_r: ELEMENT_BITS


class SomaCommand(data.Struct):
    """One pass of the soma engine."""

    settings: ElementSettings
    extent: ElementExtent
    conv_read: Address
    u_read: Address  # STEP: u of the step before
    spike_read: BitAddress  # STEP: spikes of the step before
    write: Address  # STEP: u; else the map or psum destination
    spike_write: BitAddress  # STEP: spikes before pooling; COMPARE: the bits
    s_out_write: BitAddress  # STEP: spikes after pooling


class GradCommand(data.Struct):
    """One pass of the grad engine."""

    settings: ElementSettings
    extent: ElementExtent
    conv_read: Address  # STEP: one psum a window
    u_read: Address
    du_read: Address  # STEP: du of the step after
    s_read: BitAddress  # STEP: spikes after pooling, one a window; read if pooling > 1
    write: Address  # STEP: du; else the map or psum destination
    s_write: BitAddress  # COMPARE: the bits


class UpdateCommand(data.Struct):
    """An update of ``words`` words of weights; addresses count words."""

    words: WORDS_BITS
    dw: ADDRESS_BITS  # first word of the gradients
    w: ADDRESS_BITS  # of the masters, read and written
    v: ADDRESS_BITS  # of the momenta, read and written
    stored: ADDRESS_BITS  # of the weights in the storage format
    k: BINARY32.width  # scale of the gradients
    wd: BINARY32.width  # weight decay
    mu: BINARY32.width  # momentum
    lr: BINARY32.width  # learning rate
    inhibit: 1  # a status was set before: do nothing
