"""Without these, two different modules could share a name, or a name be no Verilog identifier."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from backspike.hw.arith.format import BINARY16
from backspike.hw.component import EmitOnce, Parameter
from tests.hw.simulation import simulate


class DelayLine(EmitOnce):
    def __init__(self, **parameters):
        super().__init__({"i": In(8), "o": Out(8)}, **parameters)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i)
        return m


class Deep(DelayLine):
    _depth = Parameter[int]()
    _skip = Parameter[bool](default=False)


class TwoDelays(DelayLine):
    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = DelayLine()
        m.submodules.second = second = DelayLine()
        m.d.comb += [first.i.eq(self.i), second.i.eq(first.o), self.o.eq(second.o)]
        return m


class TestName:
    def test_class_and_parameters(self):
        assert DelayLine().module_name == "delay_line"
        assert DelayLine(depth=2, lsb=-24).module_name == "delay_line_depth2_lsbm24"
        assert (
            DelayLine(format=BINARY16, skip=True).module_name == "delay_line_formate5m10_skipTrue"
        )

    def test_long_names_are_cut_and_stay_apart(self):
        names = {DelayLine(**{f"parameter_{i}": i for i in range(n)}).module_name for n in (20, 21)}
        assert len(names) == 2
        assert all(len(name) <= 100 and name.startswith("delay_line_par") for name in names)
        assert all(name.isidentifier() for name in names)

    def test_parameters_are_a_copy(self):
        component = DelayLine(depth=2)
        component.parameters["depth"] = 3
        assert component.parameters == {"depth": 2}


class TestParameter:
    def test_is_read_as_it_was_given(self):
        assert Deep(depth=2)._depth == 2

    def test_cannot_be_assigned(self):
        with pytest.raises(AttributeError, match="^depth is a parameter"):
            Deep(depth=2)._depth = 3

    def test_without_a_value_is_its_default_if_it_has_one(self):
        assert Deep(depth=2)._skip is False
        with pytest.raises(KeyError, match="Deep is made without a parameter depth"):
            assert Deep()._depth


class TestElaborate:
    @pytest.mark.parametrize(("component", "delay"), [(DelayLine(), 1), (TwoDelays(), 2)])
    def test_is_ordinary_amaranth_without_an_emitter(self, component, delay):
        async def bench(ctx):
            for value in range(20):
                ctx.set(component.i, value)
                assert ctx.get(component.o) == max(0, value - delay)
                await ctx.tick()

        simulate(component, bench)

    def test_a_platform_that_makes_instances_is_asked(self):
        asked = []

        class Platform:
            def instance(self, component):
                asked.append(component)
                return None

        component = TwoDelays()
        assert isinstance(component.elaborate(Platform()), Module)
        assert asked == [component]
