"""Without these, a unit's results could be those of a build of another unit, or be cut short."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth import Module, Signal, signed
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.sim.harness import stream
from backspike.sim.harness.stream import StreamUnit


class Difference(EmitOnce):
    """a - b and a + b, ``latency`` cycles later."""

    _width = Parameter[int]()
    latency = Parameter[int]()

    def __init__(self, *, width, latency):
        ports = {
            "a": In(signed(width)),
            "b": In(width),
            "minus": Out(signed(width)),
            "plus": Out(width),
        }
        super().__init__(ports, width=width, latency=latency)

    def elaborate(self, platform):
        m = Module()
        minus, plus = self.a - self.b, self.a + self.b
        for cycle in range(self.latency):
            minus_held = Signal(signed(self._width), name=f"minus_{cycle}")
            plus_held = Signal(self._width, name=f"plus_{cycle}")
            m.d.sync += [minus_held.eq(minus), plus_held.eq(plus)]
            minus, plus = minus_held, plus_held
        m.d.comb += [self.minus.eq(minus), self.plus.eq(plus)]
        return m


@pytest.mark.parametrize(("width", "latency"), [(12, 0), (12, 1), (64, 3)])
def test_run(width, latency):
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    a = np.random.default_rng(4).integers(low, high, 70_000, endpoint=True)
    b = np.roll(a, 1)
    got = StreamUnit(Difference(width=width, latency=latency)).run(a=a, b=b)
    minus, plus = a.astype(np.int64) - b, a.astype(np.int64) + b
    spare = 64 - width
    assert np.array_equal(got["minus"], minus << spare >> spare)
    assert np.array_equal(got["plus"], plus if spare == 0 else plus & ((1 << width) - 1))


def test_builds_once(monkeypatch):
    first = StreamUnit(Difference(width=12, latency=1))
    monkeypatch.setattr(stream, "call_tool", lambda *command, **_: pytest.fail(f"called {command}"))
    second = StreamUnit(Difference(width=12, latency=1))
    assert first.program == second.program


def test_no_operands():
    got = StreamUnit(Difference(width=12, latency=1)).run(a=[], b=[])
    assert [len(column) for column in got.values()] == [0, 0]


def test_operands_must_be_the_inputs():
    with pytest.raises(ValueError) as error:
        StreamUnit(Difference(width=12, latency=1)).run(a=[1], c=[1])
    assert str(error.value) == "the operands must be ['a', 'b'], not ['a', 'c']"


def test_wide_ports_are_refused():
    with pytest.raises(ValueError) as error:
        StreamUnit(Difference(width=65, latency=1))
    assert str(error.value) == (
        "difference_width65_latency1.a must be at most 64 bits to be streamed, not 65"
    )
