"""Without these, the documentation could tell of settings that are gone, or of other values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hw.config import settings
from scripts.docs import PAGE, settings_table, with_tables

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_configuration_page_is_up_to_date():
    page = PAGE.read_text()
    assert page == with_tables(page), "run python -m scripts.docs"


def test_every_setting_is_in_the_table():
    listed = re.findall(r"^\| `(\w+)` \|", settings_table(), re.M)
    assert listed == [
        name.partition(".")[2] for name, field in settings().items() if field.metadata
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.M):
        assert target in targets
