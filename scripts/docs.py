"""Writes what docs/configuration.md says of each setting: ``python -m scripts.docs``."""

from __future__ import annotations

from pathlib import Path

from hw.config import settings
from hw.presets import PRESETS

__all__ = ["PAGE", "settings_table", "with_tables"]

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
BEGIN, END = "<!-- made by scripts/docs.py -->\n", "<!-- end -->\n"


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


def with_tables(page: str) -> str:
    """The page with what lies between its markers made anew."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + settings_table() + END + tail


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
