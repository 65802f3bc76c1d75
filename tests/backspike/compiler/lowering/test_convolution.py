"""Lowering: without these, an impossible layer would reach the hardware instead of its author."""

import pytest

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.layout import Layout
from backspike.hw.isa.conv.shape import EngineShape
from scripts.bench.rtl.passes import bp_passes, fp_pass

SHAPE = EngineShape(lanes=16, pixels=16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"h": 0, "w": 4}, "h must be a whole number from 1 to 4095, not 0"),
        ({"h": 4, "w": 5000}, "w must be a whole number from 1 to 4095, not 5000"),
        ({"h": 4, "w": 4, "stride": 8}, "stride must be a whole number from 1 to 7, not 8"),
        (
            {"h": 9, "w": 9, "kernel": (8, 8)},
            "a size of kernel must be a whole number from 1 to 7, not 8",
        ),
        (
            {"h": 4, "w": 4, "padding": (0, 0, 9, 0)},
            "a size of padding must be a whole number from 0 to 7, not 9",
        ),
        ({"h": 4.0, "w": 4}, "h must be a whole number from 1 to 4095, not 4.0"),
        ({"h": 4, "w": 4, "kernel": (3,)}, "kernel must have 2 sizes, not"),
        ({"h": 2, "w": 4, "kernel": (3, 3)}, "a kernel of .* must fit the padded map"),
        (
            {"h": 4, "w": 4095, "padding": (0, 0, 7, 7)},
            "output maps must be at most 4095 high and wide, not 4 x 4109",
        ),
    ],
)
def test_layers_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvLayer(**arguments)


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (3, 3), (6, 9), (5, 4)])
def test_strips_are_of_rows_that_there_are(first, last):
    layer = ConvLayer(h=8, w=8, kernel=(3, 3), padding=(1, 1, 1, 1))
    for strip, what in ((layer.fp_strip, "output"), (layer.bp_strip, "input")):
        with pytest.raises(ValueError) as error:
            strip(first, last)
        assert str(error.value) == (
            f"a strip must be of some of the {what} rows 0 to 7, not {first} to {last - 1}"
        )


def test_sums_of_too_many_terms_are_refused():
    layer = ConvLayer(h=8, w=8, kernel=(7, 7), c_tiles=256, m_tiles=64)
    place = {"spikes": Layout(), "weights": 0, "psums": Layout()}
    with pytest.raises(ValueError, match="FP sums have at most 131072 terms, not 200704"):
        fp_pass(layer, SHAPE, **place)
    with pytest.raises(ValueError, match="BP sums have at most 32768 terms, not 50176"):
        list(bp_passes(layer, SHAPE, du=Layout(), weights=0, psums=Layout()))
    # Under a stride a sum has the taps of one residue, not of the whole kernel.
    strided = ConvLayer(h=8, w=8, kernel=(7, 7), stride=2, m_tiles=64)
    list(bp_passes(strided, SHAPE, du=Layout(), weights=0, psums=Layout()))
    small = ConvLayer(h=8, w=8, kernel=(3, 3), c_tiles=8)
    fp_pass(small, SHAPE, plane=0, plane_top=6, **place)
    with pytest.raises(ValueError, match="terms"):
        fp_pass(small, SHAPE, plane=0, plane_top=7, **place)
    with pytest.raises(ValueError, match="plane must be from 0 to plane_top"):
        fp_pass(small, SHAPE, plane=3, plane_top=2, **place)


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("tiles", [1, 2, 3, 7, 32])
def test_groups_cover_all_tiles_and_fit_the_hardware(kernel, tiles):
    layer = ConvLayer(h=9, w=9, kernel=(kernel, kernel), c_tiles=tiles)
    fields = fp_pass(layer, SHAPE, spikes=Layout(), weights=0, psums=Layout())
    rows = fields["group_tiles"] * fields["group_rows"]
    assert rows <= SHAPE.group_rows
    assert rows * fields["kernel_w"] <= SHAPE.group_tiles
    covered = (fields["in_groups"] - 1) * fields["group_tiles"] + fields["last_tiles"]
    assert covered == tiles
    covered = (fields["row_groups"] - 1) * fields["group_rows"] + fields["last_rows"]
    assert covered == kernel
    assert 1 <= fields["last_tiles"] <= fields["group_tiles"]
    assert 1 <= fields["last_rows"] <= fields["group_rows"]


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_kernel_position_is_in_one_pass_of_bp(stride):
    layer = ConvLayer(h=9, w=9, kernel=(5, 5), stride=stride)
    taps = 0
    for fields in bp_passes(layer, SHAPE, du=Layout(row=9), weights=0, psums=Layout(row=9)):
        rows = (fields["row_groups"] - 1) * fields["group_rows"] + fields["last_rows"]
        taps += rows * fields["kernel_w"]
    assert taps == 25


@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("pad", [0, 1])
def test_strips_see_the_rows_that_they_need(kernel, stride, pad):
    layer = ConvLayer(h=11, w=11, kernel=(kernel, kernel), stride=stride, padding=(pad, pad, 0, 0))
    for first in range(layer.e):
        for last in range(first + 1, layer.e + 1):
            seen = range(first * stride - pad, (last - 1) * stride - pad + kernel)
            if not any(0 <= row < layer.h for row in seen):
                assert layer.fp_strip(first, last) is None
                continue
            part, begin = layer.fp_strip(first, last)
            assert part.e == last - first
            assert begin - part.padding[0] == first * stride - pad
            assert begin + part.h <= layer.h
    for first in range(layer.h):
        for last in range(first + 1, layer.h + 1):
            part, begin = layer.bp_strip(first, last)
            assert part.h == last - first
            # du row `begin` lies as far above the strip as in the whole layer; all are there.
            assert part.padding[0] - first == pad - begin * stride
            assert begin + part.e <= layer.e
            reached = [
                row
                for row in range(layer.e)
                if row * stride - pad < last and row * stride - pad + kernel > first
            ]
            assert not reached or (begin <= reached[0] and reached[-1] < begin + part.e)
    for first in range(kernel):
        for last in range(first + 1, kernel + 1):
            part, begin = layer.wg_strip(first, last)
            assert (part.e, part.kernel) == (layer.e, (last - first, kernel))
            # Its first kernel row meets what this one does; all that it sees is there.
            assert begin - part.padding[0] == first - pad
            assert begin + part.h <= layer.h


def test_strips_of_kernels_see_more_than_padding():
    layer = ConvLayer(h=1, w=3, kernel=(3, 3), padding=(1, 1, 1, 1))
    with pytest.raises(ValueError, match="kernel rows 0 to 0 must see a row of the map of 1"):
        layer.wg_strip(0, 1)
    assert layer.wg_strip(1, 2)[0].padding[:2] == (0, 0)


@pytest.mark.parametrize(
    ("engine", "changes", "message"),
    [
        # 6 x 6 pixels, 2 tiles, 2 steps, 3 samples: 432 words.
        (
            "fp",
            {"psums": Layout(base=65105)},
            "psums must end at word 65535 or before, not 65536",
        ),
        (
            "fp",
            {"spikes": Layout(base=-1)},
            "base of spikes must be a whole number from 0 to 65535, not -1",
        ),
        ("fp", {"weights": 65536 - 575}, "weights must end at word 65535 or before, not 65536"),
        (
            "bp",
            {"du": Layout(step=-2)},
            "step of du must be a whole number of at least 0, not -2",
        ),
        (
            "fp",
            {"psums": Layout(step=0)},
            "strides of psums must keep its pixels apart, which row",
        ),
        (
            "bp",
            {"psums": Layout(tile=63)},
            "strides of psums must keep its pixels apart, which row",
        ),
        ("bp", {"psums": Layout(tile=65500)}, "psums must end at word 65535 or before, not "),
        (
            "bp",
            {"fire": Layout(sample=32768)},
            "fire must end at word 65535 or before, not 65567",
        ),
    ],
)
def test_what_leaves_its_memory_is_refused(engine, changes, message):
    layer = ConvLayer(h=8, w=8, kernel=(3, 3), c_tiles=2, m_tiles=2, samples=3, steps=2)
    places = {"psums": Layout(), "weights": 0, "spikes" if engine == "fp" else "du": Layout()}
    with pytest.raises(ValueError, match=message):
        if engine == "fp":
            fp_pass(layer, SHAPE, **places | changes)
        else:
            list(bp_passes(layer, SHAPE, **places | changes))
