"""Jobs of the three arrays: FP, BP and WG of every layer of a recorded step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hw.conv.lowering import ConvLayer, bp_passes, fp_pass
from hw.conv.shape import EngineShape
from hw.memory.place import Place
from hw.wg.lowering import wg_pass
from sim.harness.layout import (
    codes_dtype,
    pack_spikes,
    place,
    tile_maps,
    tile_weights,
    tiles_of,
)
from sim.model import encode
from sim.model.network import Layer, LayerRecord
from sim.replay.job import Job, Scene, parts

__all__ = ["bp_jobs", "fp_jobs", "wg_jobs"]


def _cut(layer: Layer, part: slice) -> tuple[slice, slice, slice]:
    """Where a part lies in (maps, y, x): whole maps, or columns of the one row."""
    if layer.fully_connected:
        return slice(None), slice(None), part
    return part, slice(None), slice(None)


def _geometry(layer: Layer, x: NDArray, lanes: int) -> ConvLayer:
    """The convolution over (maps, y, x, c)."""
    return ConvLayer(
        h=x.shape[1],
        w=x.shape[2],
        kernel=layer.kernel,
        stride=layer.stride[0],
        padding=layer.padding,
        c_tiles=tiles_of(x.shape[3], lanes),
        m_tiles=tiles_of(layer.m_size, lanes),
        samples=x.shape[0],
    )


def _gradients(scene: Scene, maps: NDArray) -> NDArray:
    """Words of values, with an axis for the one time step: (maps, 1, tile, y, x, lane)."""
    codes = encode(tile_maps(maps, scene.lanes), scene.network.format)
    return codes.astype(codes_dtype(scene.network.format))[:, None]


def _flat(words: NDArray) -> NDArray:
    return words.reshape(-1, words.shape[-1])


def fp_jobs(scene: Scene) -> Iterator[Job]:
    """conv_fp of every layer; the planes of a direct input are added one to the other."""
    network, lanes = scene.network, scene.lanes
    for index, (layer, record) in enumerate(zip(network.layers, scene.record.layers, strict=True)):
        planes = 0 if index else network.planes
        x, psums = scene.rows_of(layer, record.x), scene.rows_of(layer, record.psum_fp)
        w = tile_weights(record.w_stored, lanes, network.format)
        unit = x[:1, :, :1] if layer.fully_connected else x[:1]
        spike_words = (planes + 1) * pack_spikes(unit, lanes, scene.pixels)[..., 0].size
        psum_unit = psums[:1, :, :1] if layer.fully_connected else psums[:1]
        capacity = {
            "fp.s_in": (scene.words("fp.s_in"), spike_words),
            "fp.conv_fp": (scene.words("fp.conv_fp"), tile_maps(psum_unit, lanes)[..., 0].size),
        }
        total = x.shape[2] if layer.fully_connected else x.shape[0]
        for part in parts(total, capacity, f"FP of layer {index}"):
            cut = _cut(layer, part)
            geometry = _geometry(layer, x[cut], lanes)
            spikes = [
                pack_spikes(x[cut] >> (planes - b) & 1 if planes else x[cut], lanes, scene.pixels)
                for b in range(planes + 1)
            ]
            size = spikes[0][..., 0].size
            out = tile_maps(psums[cut], lanes)[:, None]

            commands = {
                skip: [
                    fp_pass(
                        geometry,
                        EngineShape.from_config(scene.config),
                        spikes=place(spikes[b][:, None], b * size),
                        weights=0,
                        psums=place(out),
                        psum_acc=b > 0,
                        skip=skip,
                        plane=b,
                        plane_top=planes,
                    )
                    for b in range(planes + 1)
                ]
                for skip in (True, False)
            }

            yield Job(
                layer=index,
                commands=commands[True],
                dense=commands[False],
                loads=[
                    ("s_in", 0, np.concatenate([_flat(words) for words in spikes])),
                    ("w", 0, w.reshape(-1, lanes * scene.config.array.weight_words)),
                ],
                expected=[("conv", 0, _flat(out))],
            )


def bp_jobs(scene: Scene) -> Iterator[Job]:
    """conv_bp of every layer but the first, for the layer before it."""
    network, lanes = scene.network, scene.lanes
    for index, (layer, record) in enumerate(zip(network.layers, scene.record.layers, strict=True)):
        if not index:
            continue
        below = scene.record.layers[index - 1]
        size = record.x.shape
        du = scene.rows_of(layer, record.du)
        psums = scene.rows_of(layer, below.psum_bp.reshape(size))
        mask = None if below.mask is None else scene.rows_of(layer, below.mask.reshape(size))
        w = tile_weights(record.w_stored, lanes, network.format)
        first = (slice(0, 1), slice(None), slice(0, 1 if layer.fully_connected else None))
        capacity = {
            "bp.du_next": (scene.words("bp.du_next"), tile_maps(du[first], lanes)[..., 0].size),
            "bp.conv_bp": (scene.words("bp.conv_bp"), tile_maps(psums[first], lanes)[..., 0].size),
            "bp.s": (
                scene.words("bp.s"),
                pack_spikes(psums[first] != 0, lanes, scene.pixels)[..., 0].size,
            ),
        }
        total = du.shape[2] if layer.fully_connected else du.shape[0]
        for part in parts(total, capacity, f"BP of layer {index}"):
            cut = _cut(layer, part)
            geometry = _geometry(layer, psums[cut], lanes)
            words = _gradients(scene, du[cut])
            out = tile_maps(psums[cut], lanes)[:, None]
            loads = [
                ("du", 0, _flat(words)),
                ("nonzero", 0, _nonzero_bits(scene, _flat(words))),
                ("w", 0, w.reshape(-1, lanes * scene.config.array.weight_words)),
            ]
            fire = None
            if mask is not None:
                fires = pack_spikes(mask[cut], lanes, scene.pixels)
                fire = place(fires[:, None])
                loads.append(("fire", 0, _flat(fires)))

            commands = {
                skip: list(
                    bp_passes(
                        geometry,
                        EngineShape.from_config(scene.config),
                        du=place(words),
                        weights=0,
                        psums=place(out),
                        fire=fire,
                        skip=skip,
                    )
                )
                for skip in (True, False)
            }

            yield Job(
                layer=index,
                commands=commands[True],
                dense=commands[False],
                loads=loads,
                expected=[("conv", 0, _flat(out))],
            )


def _nonzero_bits(scene: Scene, words: NDArray) -> NDArray:
    """The contents of the map that follows du: a bit per word, P to a word."""
    magnitude = (1 << (scene.network.format.width - 1)) - 1
    bits: NDArray = (words & magnitude != 0).max(axis=1)
    bits = np.pad(bits, (0, -len(bits) % scene.pixels)).reshape(-1, scene.pixels)
    return np.packbits(bits, axis=1, bitorder="little")


def wg_jobs(scene: Scene) -> Iterator[Job]:
    """dw of every layer: tile by tile, group by group of samples, planes ascending.

    A chain of instructions that add to one dw is run as a whole, without skipping and with it.
    """
    network, lanes = scene.network, scene.lanes
    for index, (layer, record) in enumerate(zip(network.layers, scene.record.layers, strict=True)):
        planes = 0 if index else network.planes
        dw = tile_weights(record.dw, lanes, None)
        m_tiles, c_tiles, kh, kw = dw.shape[:4]
        group = network.wg_groups[index]
        tile = record.x[:, :group, ..., :lanes]
        capacity = {
            "bp.s": (
                scene.words("bp.s"),
                pack_spikes(_row(layer, tile), lanes, scene.pixels)[..., 0].size,
            ),
            "bp.dw": (scene.words("bp.dw"), kh * kw * lanes),
        }
        for m in range(m_tiles):
            for part in parts(c_tiles, capacity, f"WG of layer {index}"):
                for skip in (False, True):
                    chain = list(_wg_chain(scene, layer, record, planes, group, m, part, skip))
                    made = [("dw", 0, dw[m, part].reshape(-1, lanes))]
                    for command, loads in chain:
                        last = command is chain[-1][0]
                        yield Job(
                            layer=index,
                            commands=[command] if skip else [],
                            dense=[] if skip else [command],
                            loads=loads,
                            expected=made if last else [],
                            until=[] if last else made,
                            adds=bool(command["dw_acc"]),
                        )


def _wg_chain(
    scene: Scene,
    layer: Layer,
    record: LayerRecord,
    planes: int,
    group_size: int,
    m: int,
    part: slice,
    skip: bool,
) -> Iterator[tuple[dict, list]]:
    """Commands and loads that add up dw of output tile ``m`` and the input tiles in ``part``."""
    lanes = scene.lanes
    channels = slice(part.start * lanes, part.stop * lanes)
    for n in range(0, record.du.shape[1], group_size):
        group = slice(n, n + group_size)
        x = _row(layer, record.x[:, group, ..., channels])
        du = _row(layer, record.du[:, group, ..., m * lanes : (m + 1) * lanes])
        words = _gradients(scene, du.reshape(-1, *du.shape[2:]))
        words = words.reshape(*du.shape[:2], *words.shape[2:])
        geometry = ConvLayer(
            h=x.shape[2],
            w=x.shape[3],
            kernel=layer.kernel,
            stride=layer.stride[0],
            padding=layer.padding,
            c_tiles=part.stop - part.start,
            samples=du.shape[1],
            steps=du.shape[0],
        )
        for b in range(planes + 1):
            bits = x >> (planes - b) & 1 if planes else x
            spikes = pack_spikes(bits, lanes, scene.pixels)
            command = wg_pass(
                geometry,
                lanes=lanes,
                pixels=scene.pixels,
                spikes=_steps_place(spikes),
                du=place(words, axes=("step", "sample")),
                dw=0,
                plane=b,
                dw_acc=n > 0 or b > 0,
                skip=skip,
            )
            yield command, [("spike", 0, _flat(spikes)), ("du", 0, _flat(words))]


def _row(layer: Layer, maps: NDArray) -> NDArray:
    """Maps as they lie; those of a fully connected layer as one row of one map."""
    return maps.reshape(1, 1, 1, -1, maps.shape[-1]) if layer.fully_connected else maps


def _steps_place(spikes: NDArray) -> Place:
    """The place of spikes (step, sample, ...); one step serves for all of them."""
    there = place(spikes, axes=("step", "sample"))
    if spikes.shape[0] > 1:
        return there
    return Place(base=0, row=there.row, tile=there.tile, sample=there.sample, step=0)
