"""Without these, the documentation could tell of settings that are gone, or of other values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backspike.hw.config import settings
from scripts.docs import TABLES, settings_table, with_table

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize(("path", "name", "make"), TABLES, ids=[name for _, name, _ in TABLES])
def test_tables_are_up_to_date(path, name, make):
    page = path.read_text()
    assert page == with_table(page, name, make()), "run python -m scripts.docs"


def test_example_of_programming_runs(capsys):
    page = (ROOT / "docs" / "programming.md").read_text()
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S):
        exec(block, names)
    text = capsys.readouterr().out
    assert "FP_CONV" in text and "; conv_fp of both samples" in text
    assert "nothing is wrong\n[4. 4. 4. 4.]\nnothing is wrong " in text


def test_example_of_mapping_runs(capsys):
    page = (ROOT / "docs" / "mapping.md").read_text()
    for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S):
        exec(block, {})
    assert capsys.readouterr().out.splitlines()[1:] == ["True", "(16, 1, 3, 3)"]


def test_every_setting_is_in_the_table():
    listed = re.findall(r"^\| `(\w+)` \|", settings_table(), re.M)
    assert listed == [
        name.partition(".")[2] for name, field in settings().items() if field.metadata
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def anchors(page):
    """What GitHub makes of the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_pages_lead_to_a_heading(page):
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text()):
        target = page.parent / path if path else page
        assert target.suffix != ".md" or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.M):
        assert target in targets
