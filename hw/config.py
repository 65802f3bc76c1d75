"""The one description of a chip that hardware, model, compiler and tests all take.

A configuration is a tree of frozen dataclasses; :mod:`backspike.hw.presets` has named ones and
reads TOML files. Whatever cannot be built is refused here with a :class:`ConfigError`, one sentence
that names the setting, its value and what is allowed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from backspike.hw.arith.format import BINARY16, BINARY32, PSUM_BITS, Float
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.setting import ConfigError, PowerOfTwo, Section, WholeNumber, setting

__all__ = [
    "KIB",
    "ArrayConfig",
    "BpSrams",
    "ChipConfig",
    "Clocks",
    "ConfigError",
    "DramConfig",
    "FpSrams",
    "MeshConfig",
    "NocConfig",
    "SramSize",
    "settings",
]

PAGE = 4096
"""Bytes between two addresses that no burst may cross."""
DU_NEXT_BANKS = 8
"""BP and WG read du, a word a cycle each, and DMA stores those that have come: all at a time."""
KIB = 1024
"""Bytes in a KB as the tables of SRAM sizes count them."""


@dataclass(frozen=True, kw_only=True)
class ArrayConfig(Section):
    """Shape of the three arrays, and of the pipelines beside them."""

    section: ClassVar[str] = "array"

    lanes: int = setting(
        16,
        PowerOfTwo(2, 64),
        "lanes",
        "channels handled side by side: an array is lanes x lanes, a word of a map lanes wide",
    )
    ring_depth: int = setting(
        32,
        PowerOfTwo(16, 256),
        "tiles",
        "weights kept beside each PE: a group at work and the next one being loaded",
    )
    group_tiles: int = setting(
        18,
        WholeNumber(7, 31),
        "tiles",
        "most tiles that a pixel goes through between two visits to its psum: 2 x 3x3",
    )
    group_rows: int = setting(
        8,
        WholeNumber(1, 31),
        "rows",
        "rows of the input that the window generator holds at a time, over all channel tiles",
    )
    spike_pixels: int = setting(
        16,
        PowerOfTwo(4, 16),
        "pixels",
        "pixels of a row in one word of a spike map, which is read in a cycle",
    )
    weight_words: int = setting(
        1,
        PowerOfTwo(1, 64),
        "words/cycle",
        "rows of a weight tile loaded in a cycle, a word of w: keeps fully connected layers busy",
    )
    pipeline_lanes: int = setting(
        8,
        PowerOfTwo(1, 64),
        "channels/cycle",
        "channels of a pixel that Soma and Grad take in a cycle: arrays take many cycles a pixel",
    )
    dw_lanes: int = setting(
        2,
        PowerOfTwo(1, 64),
        "values/cycle",
        "sums read out of the WG array in a cycle, behind the next position's accumulation",
    )
    update_lanes: int = setting(
        1,
        PowerOfTwo(1, 64),
        "weights/cycle",
        "weights updated in a cycle: DRAM reads 12 bytes for each, and writes 10",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_most("group_tiles", "ring_depth")
        for name in ("weight_words", "pipeline_lanes", "dw_lanes", "update_lanes"):
            self.require_at_most(name, "lanes")


def sram(kib: int, word: str, why: str) -> Any:
    """A field that is the size in bytes of an SRAM of words of the kind ``word``."""
    field = setting(kib * KIB, WholeNumber(1, 1 << 30), "bytes", f"{why}; {WORD_KINDS[word].text}")
    return dataclasses.field(default=field.default, metadata={**field.metadata, "word": word})


@dataclass(frozen=True)
class WordKind:
    """How a kind of SRAM word follows from lanes, pixels of a spike word, and storage format."""

    text: str
    width: Callable[[ChipConfig], int]
    granules: Callable[[ChipConfig], int]


def _lanes(config: ChipConfig) -> int:
    return config.array.lanes


WORD_KINDS = {
    "spike": WordKind(
        "a word is spike_pixels x lanes bits",
        lambda config: config.array.spike_pixels * config.array.lanes,
        lambda config: config.array.spike_pixels,
    ),
    "value": WordKind(
        "a word is one value a lane", lambda config: config.format.width * _lanes(config), _lanes
    ),
    "psum": WordKind(
        f"a word is one psum of {PSUM_BITS} bits a lane",
        lambda config: PSUM_BITS * _lanes(config),
        _lanes,
    ),
    "weight": WordKind(
        "a word is weight_words rows of a tile",
        lambda config: config.format.width * _lanes(config) * config.array.weight_words,
        lambda config: _lanes(config) * config.array.weight_words,
    ),
    "gradient": WordKind(
        f"a word is one binary32 value of {BINARY32.width} bits a lane",
        lambda config: BINARY32.width * _lanes(config),
        _lanes,
    ),
}
"""Kinds of SRAM word: their width in bits, and how many parts of them can be written apart."""


@dataclass(frozen=True, kw_only=True)
class Srams(Section):
    """SRAMs of one sub-core."""

    conv_banks: int = setting(
        1,
        PowerOfTwo(1, 16),
        "banks",
        "banks of the conv SRAM: each takes a read and a write a cycle, for more multiplexers",
    )


@dataclass(frozen=True, kw_only=True)
class FpSrams(Srams):
    """SRAMs of the FP sub-core, in bytes; the defaults are the paper's (Suppl. Table 2)."""

    section: ClassVar[str] = "fp"

    s_in: int = sram(32, "spike", "spikes of the layer before, the input of FP")
    w: int = sram(576, "weight", "weights of the layer")
    conv_fp: int = sram(128, "psum", "psums of FP")
    u: int = sram(128, "value", "membrane potentials")
    s_out: int = sram(32, "spike", "spikes of the layer")
    spike: int = sram(32, "spike", "spikes kept for the backward pass")
    other: int = sram(16, "value", "scratch: batch norm, vectors")


@dataclass(frozen=True, kw_only=True)
class BpSrams(Srams):
    """SRAMs of the BP sub-core, in bytes; the defaults are the paper's (Suppl. Table 2)."""

    section: ClassVar[str] = "bp"

    du_next: int = sram(128, "value", "gradients du of the next layer, the input of BP and WG")
    w: int = sram(576, "weight", "weights of the next layer")
    conv_bp: int = sram(128, "psum", "psums of BP")
    du: int = sram(128, "value", "gradients du of the layer")
    u: int = sram(128, "value", "membrane potentials of the layer")
    s: int = sram(8, "spike", "spikes of the layer")
    dw: int = sram(9, "gradient", "weight gradients of the next layer")
    other: int = sram(24, "value", "scratch: batch norm, vectors, loss")


@dataclass(frozen=True, kw_only=True)
class MeshConfig(Section):
    """How many cores the chip has and how they lie."""

    section: ClassVar[str] = "mesh"

    columns: int = setting(8, WholeNumber(1, 16), "cores", "extent of the mesh from west to east")
    rows: int = setting(4, WholeNumber(1, 16), "cores", "extent of the mesh from north to south")

    @property
    def cores(self) -> int:
        """Cores of the chip."""
        return self.columns * self.rows


@dataclass(frozen=True, kw_only=True)
class Clocks(Section):
    """Frequencies of the two clock domains: cycles become seconds with them."""

    section: ClassVar[str] = "clocks"

    core_mhz: int = setting(
        500, WholeNumber(1, 5000), "MHz", "clock of engines, controllers and SRAMs"
    )
    noc_mhz: int = setting(667, WholeNumber(1, 5000), "MHz", "clock of the network on chip")

    @property
    def ratio(self) -> float:
        """Cycles of the network on chip per cycle of a core."""
        return self.noc_mhz / self.core_mhz


@dataclass(frozen=True, kw_only=True)
class DramConfig(Section):
    """The AXI4 port of a core, through which programs and data come and go."""

    section: ClassVar[str] = "dram"

    bus_bits: int = setting(256, PowerOfTwo(32, 1024), "bits", "data of the bus in a cycle")
    burst_beats: int = setting(
        16, PowerOfTwo(1, 256), "beats", "longest burst; one never crosses a 4 KB boundary"
    )
    outstanding: int = setting(
        4, PowerOfTwo(1, 16), "bursts", "bursts of an engine under way: hides the latency"
    )
    shared: int = setting(
        0, WholeNumber(0, 1), "of 0 or 1", "whether all cores share a port, else each has its own"
    )


@dataclass(frozen=True, kw_only=True)
class NocConfig(Section):
    """The network that takes words from core to core."""

    section: ClassVar[str] = "noc"

    flit_bits: int = setting(
        256, PowerOfTwo(64, 1024), "bits", "what a link takes in a cycle: a word of values"
    )
    packet_flits: int = setting(
        16, PowerOfTwo(1, 64), "flits", "longest packet behind its head: others wait for its end"
    )
    buffer_flits: int = setting(
        16, PowerOfTwo(2, 64), "flits", "buffer of a router behind each of its inputs"
    )
    window_packets: int = setting(
        8, PowerOfTwo(1, 16), "packets", "packets of a sub-core under way: hides the latency"
    )
    connections: int = setting(
        16, PowerOfTwo(1, 256), "tags", "places of a sub-core in its table of connections"
    )
    link_credits: int = setting(
        0,
        WholeNumber(0, 1024),
        "flits",
        "room behind a link to another chip, 0 for a chip without links",
    )


@dataclass(frozen=True, kw_only=True)
class SramSize:
    """What one SRAM is made of: ``banks`` memories of ``bank_words`` words each."""

    words: int
    """Words over all banks."""
    width: int
    """Bits of a word."""
    granules: int
    """Equal parts of a word that can be written apart."""
    banks: int
    """Memories that can be accessed at the same time; each holds words one behind the other."""

    @property
    def bank_words(self) -> int:
        """Words of one bank."""
        return self.words // self.banks


@dataclass(frozen=True, kw_only=True)
class ChipConfig:
    """A whole chip.

    Raises
    ------
    ConfigError
        If a value is impossible alone or together with another; also raised by the sections.
    """

    name: str = "paper"
    """Names the output folder ``build/<name>``."""
    format: Float = BINARY16
    """Storage format of weights, potentials and gradients."""
    array: ArrayConfig = ArrayConfig()
    fp: FpSrams = FpSrams()
    bp: BpSrams = BpSrams()
    mesh: MeshConfig = MeshConfig()
    clocks: Clocks = Clocks()
    dram: DramConfig = DramConfig()
    noc: NocConfig = NocConfig()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"\w[\w.+-]*", self.name, re.ASCII):
            raise ConfigError(
                "name must be letters, digits and any of _ . + -, not beginning with one of the "
                f"last three, not {self.name!r}"
            )
        try:
            self.format.check_sums_fit()
        except ValueError as error:
            raise ConfigError(f"format is impossible: {error}") from None
        if self.format.width not in (8, 16):
            raise ConfigError(
                "format must take 8 or 16 bits, 1 + exponent + mantissa, "
                f"not {self.format.width} bits"
            )
        beat = self.dram.bus_bits // 8
        if self.dram.burst_beats * beat > PAGE:
            raise ConfigError(
                f"dram.burst_beats must be at most {PAGE // beat} for a bus of "
                f"{self.dram.bus_bits} bits, not {self.dram.burst_beats}"
            )
        widest = PSUM_BITS * self.array.lanes // self.noc.flit_bits
        if widest > self.noc.packet_flits:
            raise ConfigError(
                f"noc.packet_flits must be at least {widest}, a word of psums, "
                f"not {self.noc.packet_flits}"
            )
        for section in (self.fp, self.bp):
            for field in dataclasses.fields(section):
                if "word" in field.metadata:
                    self._check_sram(section, field)

    def _check_sram(self, section: Srams, field: dataclasses.Field[Any]) -> None:
        """Refuse an SRAM that is no whole number of words, cannot be addressed, or is too small."""
        size = getattr(section, field.name)
        words = self._sram_size(section, field)
        # A bit for each word of du_next is kept beside it, spike_pixels of them in a word.
        group = self.array.spike_pixels if field.name == "du_next" else 1
        group = max(group, words.banks)
        step = words.width // 8 * group
        # SRAMs of tiles hold one at least; the component Sram itself asks for two words a bank.
        tile = {"w": self.array.lanes // self.array.weight_words, "dw": self.array.lanes}
        low = step * max(2, tile.get(field.name, 1))
        high = (words.width // 8 << ADDRESS_BITS) // step * step
        if size % step or not low <= size <= high:
            raise ConfigError(
                f"{section.section}.{field.name} must be a multiple of {step} bytes "
                f"({group} x {words.width} bits) from {low} to {high}, not {size}"
            )

    def _sram_size(self, section: Srams, field: dataclasses.Field[Any]) -> SramSize:
        kind = WORD_KINDS[field.metadata["word"]]
        width = kind.width(self)
        banks = {"psum": section.conv_banks}.get(field.metadata["word"], 1)
        if field.name == "du_next":
            banks = DU_NEXT_BANKS
        return SramSize(
            words=getattr(section, field.name) * 8 // width,
            width=width,
            granules=kind.granules(self),
            banks=banks,
        )

    @property
    def srams(self) -> dict[str, SramSize]:
        """Every SRAM of a core by its setting, e.g. ``config.srams["fp.conv_fp"].words``."""
        return {
            f"{section.section}.{field.name}": self._sram_size(section, field)
            for section in (self.fp, self.bp)
            for field in dataclasses.fields(section)
            if "word" in field.metadata
        }

    @property
    def core(self) -> ChipConfig:
        """What a core depends on: chips that differ in the rest have the same cores."""
        network = {"buffer_flits": NocConfig().buffer_flits, "link_credits": 0}
        return dataclasses.replace(
            self,
            name="core",
            mesh=MeshConfig(columns=1, rows=1),
            clocks=Clocks(),
            dram=dataclasses.replace(self.dram, shared=0),
            noc=dataclasses.replace(self.noc, **network),
        )

    def to_dict(self) -> dict[str, Any]:
        """The settings as nested plain values, as a TOML file would hold them."""
        return dataclasses.asdict(self)


def settings(kind: type = ChipConfig, prefix: str = "") -> dict[str, dataclasses.Field[Any]]:
    """Every setting of a configuration by its dotted name, in order: what ``--set`` takes."""
    found: dict[str, dataclasses.Field[Any]] = {}
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.default):
            found |= settings(type(field.default), f"{prefix}{field.name}.")
        else:
            found[prefix + field.name] = field
    return found
