"""Jobs of the element-wise engines: soma, loss gradient, grad and update of a recorded step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hw.memory.place import Place
from hw.neuron.command import Destination, Operation, Source
from hw.neuron.lowering import Area
from hw.neuron.passes import Passes
from hw.neuron.update import update_fields
from sim.harness.layout import codes_dtype, pack_spikes, spike_mask, tile_maps, tile_weights
from sim.model import encode, round_values
from sim.model.number import Values
from sim.replay.job import Job, Scene, parts

__all__ = ["DRAM_WORDS", "grad_jobs", "soma_jobs", "update_jobs"]

DRAM_WORDS = 4096
"""Words of each memory that stands in for DRAM in front of the update engine."""


def _passes(scene: Scene) -> Passes:
    return Passes(lanes=scene.lanes, pixels=scene.pixels, format=scene.network.format)


def _codes(scene: Scene, values: NDArray) -> NDArray:
    """(n, y, x, c) values as words."""
    codes = encode(tile_maps(values, scene.lanes), scene.network.format)
    return codes.astype(codes_dtype(scene.network.format)).reshape(-1, scene.lanes)


def _psums(scene: Scene, maps: NDArray) -> NDArray:
    return np.ascontiguousarray(tile_maps(maps, scene.lanes)).reshape(-1, scene.lanes)


def _bits(scene: Scene, maps: NDArray) -> NDArray:
    words = pack_spikes(maps, scene.lanes, scene.pixels)
    return words.reshape(-1, words.shape[-1])


def _mask(scene: Scene, maps: NDArray) -> NDArray:
    words = spike_mask(maps, scene.lanes, scene.pixels)
    return words.reshape(-1, words.shape[-1])


def _code(scene: Scene, value: float | Values) -> int:
    return int(encode(np.float64(value), scene.network.format))


def soma_jobs(scene: Scene) -> Iterator[Job]:
    """u and spikes of every layer and time step, each from the recorded ones of the step before."""
    build = _passes(scene)
    for index, (layer, record) in enumerate(
        zip(scene.network.layers, scene.record.layers, strict=True)
    ):
        one = record.u[0, :1]
        capacity = {
            "fp.conv_fp": (scene.words("fp.conv_fp"), len(_psums(scene, one))),
            "fp.u": (scene.words("fp.u"), 2 * len(_psums(scene, one))),
            "fp.spike": (scene.words("fp.spike"), 2 * len(_bits(scene, record.s[0, :1]))),
            "fp.s_out": (scene.words("fp.s_out"), len(_bits(scene, record.s_out[0, :1]))),
        }
        for t, part in (
            (t, part)
            for t in range(scene.network.steps)
            for part in parts(record.u.shape[1], capacity, f"Soma of layer {index}")
        ):
            conv = _psums(scene, record.psum_fp[min(t, len(record.psum_fp) - 1), part])
            u, spikes = _codes(scene, record.u[t, part]), _bits(scene, record.s[t, part])
            loads = [("conv", 0, conv)]
            if t:
                loads.append(("u", 0, _codes(scene, record.u[t - 1, part])))
                loads.append(("spike", 0, _bits(scene, record.s[t - 1, part])))
            area = Area(
                h_size=record.u.shape[2],
                w_size=record.u.shape[3],
                m_size=layer.m_size,
                pooling=layer.pool,
                samples=part.stop - part.start,
            )
            command = build.soma(
                area,
                t_acc=t > 0,
                alpha=_code(scene, layer.alpha),
                th_f=_code(scene, layer.th_f),
                conv=Place(),
                u=Place(base=len(u)),
                spike=Place(base=len(spikes)),
                s_out=Place(),
                u_prev=Place(),
                spike_prev=Place(),
                planes=0 if index else scene.network.planes,
            )
            yield Job(
                layer=index,
                commands=[command],
                loads=loads,
                expected=[
                    ("u", len(u), u),
                    ("spike", len(spikes), spikes),
                    ("s_out", 0, _bits(scene, record.s_out[t, part])),
                ],
                written={
                    "spike": _mask(scene, record.s[t, part]),
                    "s_out": _mask(scene, record.s_out[t, part]),
                },
            )


def grad_jobs(scene: Scene) -> Iterator[Job]:
    """The loss gradient, then du of every layer and time step, last to first."""
    yield from _loss_jobs(scene)
    build = _passes(scene)
    for index, (layer, record) in reversed(
        list(enumerate(zip(scene.network.layers, scene.record.layers, strict=True)))
    ):
        capacity = {
            "bp.conv_bp": (scene.words("bp.conv_bp"), len(_psums(scene, record.psum_bp[0, :1]))),
            "bp.du": (scene.words("bp.du"), 2 * len(_psums(scene, record.u[0, :1]))),
            "bp.u": (scene.words("bp.u"), len(_psums(scene, record.u[0, :1]))),
            "bp.s": (scene.words("bp.s"), len(_bits(scene, record.s_out[0, :1]))),
        }
        last = scene.network.steps - 1
        for t, part in (
            (t, part)
            for t in reversed(range(scene.network.steps))
            for part in parts(record.u.shape[1], capacity, f"Grad of layer {index}")
        ):
            du = _codes(scene, record.du[t, part])
            loads = [
                ("conv", 0, _psums(scene, record.psum_bp[t, part])),
                ("u", 0, _codes(scene, record.u[t, part])),
                ("s", 0, _bits(scene, record.s_out[t, part])),
            ]
            if t != last:
                loads.append(("du", 0, _codes(scene, record.du[t + 1, part])))
            area = Area(
                h_size=record.u.shape[2],
                w_size=record.u.shape[3],
                m_size=layer.m_size,
                pooling=layer.pool,
                samples=part.stop - part.start,
            )
            command = build.grad(
                area,
                t_acc=t != last,
                alpha=_code(scene, layer.alpha),
                th_f=_code(scene, layer.th_f),
                th_l=_code(scene, layer.th_l),
                th_r=_code(scene, layer.th_r),
                conv=Place(),
                u=Place(),
                du=Place(base=len(du)),
                du_next=Place(),
                s_out=Place(),
            )
            yield Job(layer=index, commands=[command], loads=loads, expected=[("du", len(du), du)])


def _loss_jobs(scene: Scene) -> Iterator[Job]:
    """Rates and loss gradient by vector operations, as :func:`sim.model.network.loss_gradient`."""
    build, record = _passes(scene), scene.record
    spikes = record.layers[-1].s_out
    steps = len(spikes)
    unit = len(_psums(scene, record.rates[:1]))
    capacity = {
        "bp.conv_bp": (scene.words("bp.conv_bp"), unit),
        "bp.du": (scene.words("bp.du"), unit),
        "bp.u": (scene.words("bp.u"), unit),
        "bp.s": (scene.words("bp.s"), steps * len(_bits(scene, spikes[0, :1]))),
    }
    for part in parts(len(record.rates), capacity, "the loss gradient"):
        maps = [_bits(scene, spikes[t, part]) for t in range(steps)]
        area = Area(h_size=1, w_size=1, m_size=spikes.shape[-1], samples=part.stop - part.start)
        here = Place()
        rates = [
            build.grad_vector(
                area,
                Operation.ADD,
                x=Source.DU if t else Source.SCALAR,
                y=Source.BITS,
                scalar=0,
                du=here,
                bits=Place(base=t * len(maps[0])),
                write=here,
            )
            for t in range(steps)
        ]
        scale = build.grad_vector(
            area,
            Operation.MULTIPLY,
            x=Source.DU,
            y=Source.SCALAR,
            scalar=_code(scene, round_values(1 / steps, scene.network.format)),
            du=here,
            write=here,
        )
        yield Job(
            layer=len(record.layers) - 1,
            commands=[*rates, scale],
            loads=[("s", 0, np.concatenate(maps))],
            expected=[("du", 0, _codes(scene, record.rates[part]))],
        )
        error = build.grad_vector(
            area, Operation.SUBTRACT, x=Source.DU, y=Source.U, du=here, u=here, write=here
        )
        gradient = build.grad_vector(
            area,
            Operation.MULTIPLY,
            x=Source.DU,
            y=Source.SCALAR,
            scalar=_code(scene, record.scale),
            du=here,
            to=Destination.CONV,
            write=here,
        )
        yield Job(
            layer=len(record.layers) - 1,
            commands=[error, gradient],
            loads=[("u", 0, _codes(scene, record.targets[part]))],
            expected=[("conv", 0, _psums(scene, record.layers[-1].psum_bp[0, part]))],
        )


def update_jobs(scene: Scene) -> Iterator[Job]:
    """Masters, momenta and stored weights of every layer."""
    rule = scene.record.rule
    codes = {
        name: int(np.float32(getattr(rule, name)).view(np.uint32))
        for name in ("k", "wd", "mu", "lr")
    }
    format = scene.network.format
    for index, record in enumerate(scene.record.layers):

        def words(weights: NDArray, stored: bool = False) -> NDArray:
            tiles = tile_weights(weights, scene.lanes, format if stored else None)
            return tiles.reshape(-1, scene.lanes)

        whole = {name: words(getattr(record, name)) for name in ("w", "v", "dw", "w_new", "v_new")}
        whole |= {
            name: words(getattr(record, name), stored=True) for name in ("w_stored", "w_stored_new")
        }
        for part in parts(len(whole["w"]), {"DRAM": (DRAM_WORDS, 1)}, "the update"):
            command = update_fields(
                words=part.stop - part.start,
                dw=0,
                w=0,
                v=0,
                stored=0,
                inhibit=not scene.record.updated,
                **codes,
            )
            yield Job(
                layer=index,
                commands=[command],
                loads=[
                    ("dw", 0, whole["dw"][part]),
                    ("w", 0, whole["w"][part]),
                    ("v", 0, whole["v"][part]),
                    ("stored", 0, whole["w_stored"][part]),
                ],
                expected=[
                    ("w", 0, whole["w_new"][part]),
                    ("v", 0, whole["v_new"][part]),
                    ("stored", 0, whole["w_stored_new"][part]),
                ],
            )
