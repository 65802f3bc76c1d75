"""Without this, an interrupted run could leave half of a checkpoint in place of a whole one."""

from __future__ import annotations

import os

import pytest

from backspike.files import write_whole


def test_writes_text_and_bytes_into_folders_that_it_makes(tmp_path):
    write_whole(tmp_path / "a" / "b", "é")
    write_whole(tmp_path / "a" / "c", b"\x00")
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == {
        "b": "é".encode(),
        "c": b"\x00",
    }


def test_what_was_there_stays_until_all_is_written(tmp_path, monkeypatch):
    def disk_is_full(descriptor: int) -> None:
        raise OSError("no space left on device")

    path = tmp_path / "file"
    write_whole(path, "old")
    monkeypatch.setattr(os, "fsync", disk_is_full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
