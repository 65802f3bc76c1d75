"""Without these, a command that the hardware cannot hold would run and give a wrong gradient."""

from __future__ import annotations

import pytest
from amaranth.lib import data

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.layout import Layout
from backspike.hw.isa.wg.command import WgCommand
from scripts.bench.rtl.passes import wg_pass

SETTINGS = {
    "lanes": 4,
    "pixels": 8,
    "spikes": Layout(base=100, tile=20, row=2, step=80, sample=160),
    "du": Layout(base=7, tile=100, row=10, step=200, sample=400),
    "dw": 5,
}


def test_fields_fit_and_are_all_given():
    layer = ConvLayer(h=10, w=9, kernel=(3, 2), stride=2, padding=(1, 0, 1, 2), c_tiles=3)
    fields = wg_pass(layer, **SETTINGS, plane=3, dw_acc=True)
    layout = data.Layout.cast(WgCommand)
    assert {name for name, _ in layout} == set(fields)
    for name, field in layout:
        assert 0 <= fields[name] < 1 << field.width, name


def test_addresses_count_from_the_padding():
    layer = ConvLayer(h=10, w=9, kernel=(3, 3), stride=2, padding=(2, 0, 3, 0))
    fields = wg_pass(layer, **SETTINGS)
    assert fields["spike_base"] == 100 - 2 * 2
    assert fields["spike_out_row"] == 2 * 2


@pytest.mark.parametrize(("w", "stride", "words"), [(16, 1, 2), (17, 1, 3), (17, 2, 3), (18, 7, 2)])
def test_words_that_no_window_reaches_are_not_walked(w, stride, words):
    layer = ConvLayer(h=1, w=w, stride=stride)
    assert wg_pass(layer, **SETTINGS)["row_words"] == words


def test_dw_is_as_long_as_the_weights():
    fields = wg_pass(ConvLayer(h=9, w=9, kernel=(3, 2), c_tiles=5, m_tiles=2), **SETTINGS)
    assert fields["dw_words"] == 2 * 5 * 3 * 2 * SETTINGS["lanes"]


def test_as_many_terms_as_fit():
    layer = ConvLayer(h=64, w=64, samples=8, steps=4)
    assert wg_pass(layer, **SETTINGS)["samples"] == 8


def test_refuses_too_many_terms():
    layer = ConvLayer(h=64, w=64, samples=11, steps=3)
    with pytest.raises(ValueError, match=r"^WG sums have at most 131072 terms, not 135168$"):
        wg_pass(layer, **SETTINGS)


@pytest.mark.parametrize(
    ("m_size", "c_size", "last"), [(None, None, (4, 4)), (8, 9, (4, 1)), (5, 11, (1, 3))]
)
def test_the_last_tiles_have_what_is_left_of_the_channels(m_size, c_size, last):
    layer = ConvLayer(h=4, w=4, m_tiles=2, c_tiles=3)
    fields = wg_pass(layer, **SETTINGS, m_size=m_size, c_size=c_size)
    assert (fields["last_m"], fields["last_c"]) == last


@pytest.mark.parametrize("c_size", [8, 13])
def test_refuses_channels_of_other_tiles(c_size):
    layer = ConvLayer(h=4, w=4, c_tiles=3)
    with pytest.raises(
        ValueError, match=rf"^c_size must be a whole number from 9 to 12, not {c_size}$"
    ):
        wg_pass(layer, **SETTINGS, c_size=c_size)


@pytest.mark.parametrize("plane", [-1, 16])
def test_refuses_planes(plane):
    with pytest.raises(ValueError, match=rf"^plane must be from 0 to 15, not {plane}$"):
        wg_pass(ConvLayer(h=4, w=4), **SETTINGS, plane=plane)
