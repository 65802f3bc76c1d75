"""Without this, software would write a connection other than the one that the hardware keeps."""

from __future__ import annotations

import pytest

from backspike.hw.chip.map import CHIP_REGISTERS
from backspike.hw.core.connection import Connection
from backspike.hw.core.map import REGISTERS, START_EMPTY, START_ZERO, HostRegister
from backspike.hw.limits import WORD_BITS
from backspike.hw.noc.table import ConnectionWrite


@pytest.mark.parametrize("register", [*REGISTERS, *CHIP_REGISTERS], ids=lambda each: each.name)
def test_fields_of_a_register_follow_each_other_within_its_word(register: HostRegister) -> None:
    end = 0
    for field in register.fields:
        assert field.low >= end
        end = field.low + field.bits
    assert end <= WORD_BITS


@pytest.mark.parametrize("own", [0, 1])
def test_connect_holds_a_connection_as_the_table_keeps_it_and_whose_it_is(own: int) -> None:
    word = Connection(place=(3, 9), subcore="bp").word(200, ("fp", "bp")[own])
    kept = ConnectionWrite.const(
        {"tag_id": 200, "there": {"x": 3, "y": 9, "port": 1}, "valid": 1}
    ).as_bits()
    assert word == kept | own << ConnectionWrite.as_shape().size


def test_start_empties_boxes_and_zeroes_counters_by_its_upper_bits() -> None:
    assert (START_EMPTY, START_ZERO) == (1 << 30, 1 << 31)


def test_fields_are_found_in_numbers() -> None:
    status = next(each for each in REGISTERS if each.name == "fp_status")
    word = status.pack(progress=3, fault=9, invalid=1)
    assert {field.name: field.of(word) for field in status.fields} == {
        "progress": 3,
        "fault": 9,
        "overflow": 0,
        "invalid": 1,
    }
