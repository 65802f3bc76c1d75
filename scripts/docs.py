"""Writes the tables in the documents that come from the code: ``python -m scripts.docs``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from backspike.hw.chip.map import CHIP_REGISTERS
from backspike.hw.config import settings
from backspike.hw.core.map import REGISTERS, HostRegister
from backspike.hw.isa.instruction import Fault, Instruction
from backspike.hw.isa.table import UNITS, IsaShape, instruction_set
from backspike.hw.presets import PRESETS

__all__ = ["TABLES", "instruction_tables", "settings_table", "with_table"]

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- made by scripts/docs.py: {} -->\n", "<!-- end -->\n"


def settings_table() -> str:
    """A Markdown table a section: every setting, what it may be, and its value in each preset."""
    lines: list[str] = []
    section = None
    for name, field in settings().items():
        if not field.metadata:
            continue
        heading, _, leaf = name.partition(".")
        if heading != section:
            section = heading
            presets = "".join(f" {preset} |" for preset in PRESETS)
            lines += ["", f"### [{section}]", "", f"| setting | unit |{presets} allowed | for |"]
            lines.append("| --- | --- |" + " ---: |" * len(PRESETS) + " --- | --- |")
        values = (getattr(getattr(config, section), leaf) for config in PRESETS.values())
        cells = [f"`{leaf}`", field.metadata["unit"], *map(str, values)]
        # Sizes of SRAMs depend on their words, which the text below the tables tells of.
        words = "whole words" if "word" in field.metadata else str(field.metadata["allowed"])
        lines.append(f"| {' | '.join([*cells, words, field.metadata['why']])} |")
    return "\n".join([*lines, "", ""])


def instruction_tables() -> str:
    """Each instruction with its opcode, unit, size and operands, for preset ``paper``."""
    shape = IsaShape.from_config(PRESETS["paper"])
    found: dict[str, tuple[Instruction, list[str]]] = {}
    for subcore in UNITS:
        for mnemonic, instruction in instruction_set(shape, subcore).items():
            found.setdefault(mnemonic, (instruction, []))[1].append(subcore)
    lines: list[str] = []
    for mnemonic, (instruction, subcores) in sorted(
        found.items(), key=lambda item: item[1][0].opcode
    ):
        where = " and ".join(subcore.upper() for subcore in subcores)
        lines += [
            "",
            f"### {mnemonic}",
            "",
            f"Opcode {instruction.opcode:#04x}, {where} sub-core, unit `{instruction.unit}`, "
            f"{instruction.words} words. {instruction.what}",
            "",
            "| operand | from | to | |",
            "| --- | ---: | ---: | --- |",
        ]
        tables = {
            subcore: {
                each.name: each for each in instruction_set(shape, subcore)[mnemonic].operands
            }
            for subcore in subcores
        }
        for name in max(tables.values(), key=len):
            having = {sub: table[name] for sub, table in tables.items() if name in table}
            operands = list(having.values())
            least, most = operands[0].low, max(each.high for each in operands)
            texts = {each.what for each in operands}
            what = operands[0].what
            if len(texts) > 1 or len(operands) < len(subcores):
                what = "; ".join(
                    f"{subcore.upper()}: {each.what} (to {each.high})"
                    for subcore, each in having.items()
                )
            lines.append(f"| `{operands[0].name}` | {least} | {most} | {what} |")
    return "\n".join([*lines, "", ""])


def register_table(registers: Iterable[HostRegister]) -> str:
    """Registers of a core, or of a chip."""
    lines = ["", "| address | register | access | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {each.address:#05x} | `{each.name}` | {each.access} | {each.what} |"
        for each in registers
    ]
    return "\n".join([*lines, "", ""])


def fault_table() -> str:
    """The codes of the status register."""
    lines = ["", "| code | fault | |", "| ---: | --- | --- |"]
    lines += [f"| {fault.value} | {fault.name} | {fault.text} |" for fault in Fault]
    return "\n".join([*lines, "", ""])


TABLES: list[tuple[Path, str, Callable[[], str]]] = [
    (DOCS / "configuration.md", "settings", settings_table),
    (DOCS / "instructions.md", "instructions", instruction_tables),
    (DOCS / "programming.md", "registers", partial(register_table, REGISTERS)),
    (DOCS / "network.md", "chip registers", partial(register_table, CHIP_REGISTERS)),
    (DOCS / "programming.md", "faults", fault_table),
]
"""Page, name of the table, and what makes it."""


def with_table(page: str, name: str, table: str) -> str:
    """The page with what lies between the markers of a table made anew."""
    begin = BEGIN.format(name)
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(END)
    return head + begin + table + END + tail


if __name__ == "__main__":
    for path, name, make in TABLES:
        text = path.read_text(encoding="utf-8")
        path.write_text(with_table(text, name, make()), encoding="utf-8")
