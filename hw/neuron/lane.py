"""What the lanes of both element-wise engines share: ports, control, and delays between stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from amaranth import Module, Signal, Value, signed
from amaranth.hdl import ValueLike
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from backspike.hw.arith.format import Float
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.isa.neuron.command import Source
from backspike.hw.isa.neuron.kinds import ElementKind
from backspike.hw.limits import PLANE_BITS

__all__ = ["Delays", "ElementLane", "lane_control"]


def lane_control(format: Float) -> data.StructLayout:
    """What a lane is told to do; the same for all lanes, and held from start to done.

    Fields
    ------
    step : the neuron's step; else a vector operation
    t_acc : the carried terms take part (always in a vector operation)
    x, y : operands; in a step those of the (second) multiplier
    subtract, multiply, compare : the vector operation, if none of them x + y
    reads_psum : an operand is a psum
    scale : B of the psums
    alpha : decay; 1.0 in a vector operation
    scalar : operand SCALAR; the decay in a step
    th_f, low, high : thresholds; ``low`` is th_f in a step of soma, else th_l
    """
    return data.StructLayout(
        {
            "step": 1,
            "t_acc": 1,
            "x": Source,
            "y": Source,
            "subtract": 1,
            "multiply": 1,
            "compare": 1,
            "reads_psum": 1,
            "scale": PLANE_BITS,
            "alpha": format.width,
            "scalar": format.width,
            "th_f": format.width,
            "low": format.width,
            "high": format.width,
        }
    )


class Delays:
    """Registers that carry signals from the cycle they are made in to those they are needed in.

    Cycles are counted from that of the operands; every value is delayed once, however many stages
    need it. Registers come to be in :meth:`build`, so that it does not matter that a stage asks for
    a signal inside a conditional. They have no reset: what is undefined never leaves a lane.
    """

    def __init__(self):
        self._made: dict[int, int] = {}
        self._chains: dict[int, list[Signal]] = {}
        self._registers: list[tuple[Signal, ValueLike]] = []

    def made(self, signal, cycle: int):
        """Notes that ``signal`` is valid in ``cycle``; returns it."""
        self._made[id(signal)] = cycle
        self._chains[id(signal)] = [signal]
        return signal

    def at(self, signal, cycle: int):
        """``signal`` as it is needed in ``cycle``, which must not be before it is made."""
        chain = self._chains[id(signal)]
        needed = cycle - self._made[id(signal)]
        if needed < 0:
            raise ValueError(f"{signal!r} is needed {-needed} cycles before it is made")
        while len(chain) <= needed:
            after = Signal.like(
                chain[-1], name=f"{signal.name}_{len(chain)}", init=0, reset_less=True
            )
            self._registers.append((after, chain[-1]))
            chain.append(after)
        return chain[needed]

    def register(self, name: str, value: ValueLike, cycle: int) -> Signal:
        """A register that takes ``value`` in ``cycle``, so that it is valid in the one after."""
        signal = Signal(Value.cast(value).shape(), name=name, reset_less=True)
        self._registers.append((signal, value))
        return self.made(signal, cycle + 1)

    def build(self, m: Module) -> None:
        """Adds all registers to ``m``; to be called once, outside of any conditional."""
        m.d.sync += [register.eq(value) for register, value in self._registers]


class ElementLane(EmitOnce):
    """Base of the lanes of an element-wise engine, each for one channel in a cycle.

    A vector operation is RN(x + y), RN(x - y) or RN(x * y) of any two of the rounded psum, the
    other operands and ``control.scalar``, or ``bit_out = low <= x <= high``. Throughput is one
    a cycle; results come ``latency`` cycles after their operands.

    Statuses: reading a psum sets ``overflow`` or ``invalid``; an operation sets them if its result
    is used; what is deselected, and a comparison, sets none.

    Parameters
    ----------
    format : Float
        Storage format.
    operands : dict
        Members that are read beside psums and u.
    parameters : dict
        As of :class:`backspike.hw.component.EmitOnce`, beside the format.

    Members
    -------
    control : In(lane_control)
    psum : In(signed(psum_bits)), u : In(format.width)
    value : Out(format.width), bit_out : Out(1), overflow, invalid : Out(1)
    """

    KIND: ClassVar[ElementKind]

    _format = Parameter[Float]()

    def __init__(
        self,
        *,
        format: Float,
        operands: Mapping[str, Any],
        parameters: Mapping[str, object] | None = None,
    ):
        psum_bits, _ = self.KIND.psum_grid(format)
        super().__init__(
            {
                "control": In(lane_control(format)),
                "psum": In(signed(psum_bits)),
                "u": In(format.width),
                **operands,
                "value": Out(format.width),
                "bit_out": Out(1),
                "overflow": Out(1),
                "invalid": Out(1),
            },
            format=format,
            **(parameters or {}),
        )

    @classmethod
    def psum_rounding(cls, format: Float) -> dict[str, Any]:
        """Parameters of the :class:`backspike.hw.arith.fixed.RoundFixed` that reads a psum."""
        width, lsb = cls.KIND.psum_grid(format)
        scale_bits = 0 if cls.KIND.products else PLANE_BITS
        return {"width": width, "lsb": lsb, "format": format, "scale_bits": scale_bits}

    @classmethod
    def latency_of(cls, **parameters: Any) -> int:
        """Latency of a lane with these parameters."""
        raise NotImplementedError

    @property
    def latency(self) -> int:
        """Cycles from operands to results."""
        return self.latency_of(**self.parameters)

    def _operands(self, m: Module, sources: Mapping[Source, ValueLike]) -> list[Signal]:
        """x and y: of ``sources``, the ones that the control says."""
        operands = []
        for name, source in (("x", self.control.x), ("y", self.control.y)):
            operand = Signal(self._format.width, name=f"{name}_source")
            with m.Switch(source):
                for number, value in sources.items():
                    with m.Case(number):
                        m.d.comb += operand.eq(value)
            operands.append(operand)
        return operands

    def _addend(self, m: Module, name: str, in_step: ValueLike, y: Signal) -> Signal:
        """What x or the product is added to: y or -y, or -0, which leaves it as it is.

        In a step it is ``in_step``.
        """
        control, width = self.control, self._format.width
        addend = Signal(width, name=name)
        with m.If(control.step):
            m.d.comb += addend.eq(in_step)
        with m.Elif(control.multiply | control.compare):
            m.d.comb += addend.eq(self._format.minus_zero)
        with m.Else():
            m.d.comb += addend.eq(y ^ (control.subtract << (width - 1)))
        return addend
