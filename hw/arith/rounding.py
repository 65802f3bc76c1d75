"""The back end of every rounding unit: normalise, round to nearest even, pack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Out
from amaranth.utils import bits_for

from backspike.hw.arith.format import Float
from backspike.hw.arith.unpack import delayed
from backspike.hw.component import EmitOnce

__all__ = ["Rounded", "RoundedUnit", "Rounding", "bits_below"]

DIGIT_BITS = 2
"""A stage of the shifter shifts by 0 to 3 times a power of 4: one multiplexer of 4 inputs a bit."""


def bits_below(format: Float, too_small: int) -> int:
    """How far below the topmost bit numbers start out that are too small for the format.

    ``too_small`` is how far the least exponent of the numbers lies below that of the format.
    Farther down they are as good as zero.
    """
    return min(max(too_small, 0), format.mantissa + 2)


@dataclass(frozen=True)
class Rounded:
    """The signals that :meth:`Rounding.build` makes."""

    code: Value
    overflow: Value
    invalid: Value


@dataclass(frozen=True)
class _State:
    """What the stages of the shifter hand on."""

    value: Value
    limit: Value
    free: Value | None = None
    """The shift is less than ``limit`` whatever its lower digits are; None before the first."""
    shifts: tuple[Value, ...] = ()
    """Digits of the shift, least significant first."""
    sticky: Value | None = None
    """A bit that is set has left the value at its lower end; None before the first shift."""


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """A pipeline that rounds ``value * 2**(limit + c)`` to a format, for one constant c.

    The value is shifted to the left until its leading bit is the topmost one, but by at most
    ``limit``, which is where the result is subnormal: the same shifter does both cases. With s for
    the shift, the exponent field of the result is limit - s + 1 if the topmost bit is then set,
    else 0. What lies below the significand is rounded to nearest, ties to even.

    The shift is found and done two bits of s at a time, most significant first. A stage counts
    the groups of leading bits (0 to 3) that hold nothing, and takes the lesser of that and of its
    digit of ``limit``; once a count was the lesser, lower digits of ``limit`` no longer matter.

    A negative two's complement value x is never negated. Its magnitude is ~x + 1; ~x is what is
    normalised, and + 1 joins the rounding. With g for the first bit of x below the significand and
    r for whether any other is set, a positive value is incremented by g & (r | odd), ~x by
    ~g | (~r & odd). (If the leading bit of ~x lies below that of ~x + 1, then ~x consists of ones,
    and incrementing carries into the exponent, as it should.)

    Latency is :attr:`latency` cycles; throughput one value a cycle.

    Parameters
    ----------
    format : Float
        Of the result.
    width : int
        Bits of the value, without its sign; at least mantissa + 2.
    twos_complement : bool
        The value has a sign bit above its ``width`` bits; else it is a magnitude.
    limit_max : int
        The largest ``limit``; the least is 0.
    longest_shift : int
        No value but zero is ever to be shifted farther, whatever the limit.
    """

    format: Float
    width: int
    twos_complement: bool
    limit_max: int
    longest_shift: int

    @property
    def shift_bits(self) -> int:
        """Bits of the shift."""
        return bits_for(min(self.longest_shift, self.limit_max))

    @property
    def shift_stages(self) -> int:
        """Stages of the shifter."""
        return -(-self.shift_bits // DIGIT_BITS)

    @property
    def latency(self) -> int:
        """Cycles from the value to the result."""
        return self.shift_stages + 2

    def build(
        self,
        m: Module,
        *,
        value: Value,
        limit: Value,
        negative: Value,
        nan: Value,
        infinite: Value,
    ) -> Rounded:
        """Adds the pipeline to ``m``; ``nan`` goes before ``infinite``, and that before ``value``.

        Parameters
        ----------
        value : Value
            ``width`` bits, or one more if it is two's complement.
        limit : Value
            Unsigned.
        negative : Value
            Sign of the result, unless it is NaN; that of ``value`` if this is two's complement.
        nan, infinite : Value
            What the result is instead; an infinity that is given is no overflow.
        """
        stored_value = Signal(self.width + self.twos_complement, name="round_value")
        stored_limit = Signal(bits_for(self.limit_max), name="round_limit")
        m.d.comb += [stored_value.eq(value), stored_limit.eq(limit)]
        state = _State(value=stored_value, limit=stored_limit)
        high = self.shift_bits
        for _ in range(self.shift_stages):
            low = (high - 1) // DIGIT_BITS * DIGIT_BITS
            state = self._registered(m, self._find_shift(m, state, low, high), low)
            state = self._shift(m, state, low)
            high = low
        aside = {}
        for name, signal in (("sign", negative), ("nan", nan), ("infinite", infinite)):
            first = Signal(name=f"round_{name}")
            m.d.comb += first.eq(signal)
            aside[name] = delayed(m, first, self.shift_stages, first.name)
        return self._finish(m, state, **aside)

    def _find_shift(self, m: Module, state: _State, low: int, high: int) -> _State:
        """Decides bits ``low`` to ``high`` of the shift."""
        value, limit = state.value, state.limit
        # A bit holds something if it differs from the sign; below the last one, x holds zeros.
        holds = Cat(Const(0, 1), value[:-1]) ^ value if self.twos_complement else value
        digit = limit[low:high]
        count = Signal.like(digit, name=f"count{low}")
        taken = Signal.like(digit, name=f"taken{low}")
        lesser = Signal(name=f"lesser{low}")
        groups = (1 << len(digit)) - 1
        m.d.comb += count.eq(groups)
        for group in reversed(range(groups)):
            top, bottom = (max(len(holds) - (i << low), 0) for i in (group, group + 1))
            with m.If(holds[bottom:top].any()):
                m.d.comb += count.eq(group)
        free = limit[high:].any() if state.free is None else state.free
        m.d.comb += [
            lesser.eq(free | (count < digit)),
            taken.eq(Mux(lesser, count, digit)),
        ]
        return replace(state, free=lesser, shifts=(taken, *state.shifts))

    def _registered(self, m: Module, state: _State, low: int) -> _State:
        """``state`` one cycle later."""

        def later(signal: Value, name: str) -> Value:
            return delayed(m, signal, 1, f"{name}{low}")

        return _State(
            value=later(state.value, "value"),
            limit=later(state.limit, "limit"),
            free=later(state.free, "free"),
            shifts=tuple(later(s, f"shift{i}_") for i, s in enumerate(state.shifts)),
            sticky=None if state.sticky is None else later(state.sticky, "sticky"),
        )

    def _shift(self, m: Module, state: _State, low: int) -> _State:
        """Shifts by the bits of the shift that were decided last."""
        value, shift = state.value, state.shifts[0]
        # Below the significand and its guard bit, keep what may yet be shifted up.
        kept = self.format.mantissa + 2 + ((1 << low) - 1) + self.twos_complement
        moved, lost = Signal(kept, name=f"moved{low}"), Signal(name=f"lost{low}")
        with m.Switch(shift):
            for count in range(1 << len(shift)):
                top = max(len(value) - (count << low), 0)
                bottom = max(top - kept, 0)
                with m.Case(count):
                    m.d.comb += [
                        moved.eq(Cat(Const(0, kept - (top - bottom)), value[bottom:top])),
                        lost.eq(value[:bottom].any()),
                    ]
        sticky = lost if state.sticky is None else lost | state.sticky
        return replace(state, value=moved, sticky=sticky)

    def _finish(
        self, m: Module, state: _State, *, sign: Value, nan: Value, infinite: Value
    ) -> Rounded:
        """Rounds and packs the value that was shifted."""
        fmt = self.format
        top = (1 << fmt.exponent) - 1
        guard, sticky = state.value[0], state.sticky
        significand = state.value[1 : fmt.mantissa + 2]
        if self.twos_complement:
            significand = significand ^ sign.replicate(fmt.mantissa + 1)
        leading, odd = significand[-1], significand[0]
        up = guard & (sticky | odd)
        if self.twos_complement:
            up = Mux(sign, ~guard | (~sticky & odd), up)
        # Not below 0, since no shift exceeds the limit.
        exponent = Signal(max(fmt.exponent, len(state.limit)), name="exponent")
        m.d.comb += exponent.eq(state.limit - Cat(state.shifts))
        special = nan | infinite
        if self.limit_max >= top - 1:
            # From top - 1 on, whose bits are all set but the lowest.
            beyond = exponent[fmt.exponent :].any() | exponent[1 : fmt.exponent].all()
            special = special | (leading & beyond)

        rounded = {
            "up": up,
            "significand": significand,
            "exponent": Mux(leading, exponent[: fmt.exponent], 0),
            "sign": sign & ~nan,
            "nan": nan,
            "infinite": infinite,
        }
        held = {}
        for name, made in rounded.items():
            held[name] = Signal(len(Value.cast(made)), name=f"held_{name}", reset_less=True)
            m.d.sync += held[name].eq(made)
        # As resets of these registers, which cost nothing.
        with m.If(special):
            m.d.sync += [held["up"].eq(0), held["significand"].eq(0), held["exponent"].eq(top)]
        with m.If(nan):
            m.d.sync += held["significand"][fmt.mantissa - 1].eq(1)

        # The leading bit counts as one more of the exponent, and so does a carry out of rounding.
        packed = Signal(1 + fmt.mantissa + fmt.exponent, name="packed")
        m.d.comb += packed.eq(
            Cat(held["up"], held["significand"])
            + Cat(held["up"], Const(0, fmt.mantissa), held["exponent"])
        )
        result = Signal(fmt.layout, name="rounded", reset_less=True)
        overflow = Signal(name="round_overflow", reset_less=True)
        m.d.sync += [
            Value.cast(result).eq(Cat(packed[1:], held["sign"])),
            overflow.eq(packed[1 + fmt.mantissa :].all() & ~held["nan"] & ~held["infinite"]),
        ]
        invalid = delayed(m, held["nan"], 1, "round_invalid")
        return Rounded(code=Value.cast(result), overflow=overflow, invalid=invalid)


class RoundedUnit(EmitOnce):
    """Base of the units that round once.

    Latency is :attr:`latency` cycles; throughput one result a cycle.

    Parameters
    ----------
    operands : dict
        Members that are read.
    **parameters
        As of :class:`backspike.hw.component.EmitOnce`; :meth:`rounding_of` takes the same.

    Members
    -------
    o : Out(format.width)
    overflow, invalid : Out(1)
        Finite operands gave an infinity; the result is NaN, read or made.
    """

    cycles = 0
    """From the operands to what is rounded."""

    def __init__(self, operands: Mapping[str, Any], **parameters):
        rounding = self.rounding_of(**parameters)
        super().__init__(
            {
                **operands,
                "o": Out(rounding.format.width),
                "overflow": Out(1),
                "invalid": Out(1),
            },
            **parameters,
        )

    @staticmethod
    def rounding_of(**parameters: Any) -> Rounding:
        """How a unit with these parameters rounds."""
        raise NotImplementedError

    @classmethod
    def latency_of(cls, **parameters: Any) -> int:
        """Latency of a unit with these parameters."""
        return cls.cycles + cls.rounding_of(**parameters).latency

    @property
    def latency(self) -> int:
        """Cycles from the operands to ``o``."""
        return self.latency_of(**self.parameters)

    @property
    def _rounding(self) -> Rounding:
        return self.rounding_of(**self.parameters)

    def _round(self, m: Module, **what: Any) -> None:
        """Makes the result of ``what`` :meth:`Rounding.build` takes."""
        rounded = self._rounding.build(m, **what)
        m.d.comb += [
            self.o.eq(rounded.code),
            self.overflow.eq(rounded.overflow),
            self.invalid.eq(rounded.invalid),
        ]
