"""The model: the chip's arithmetic in numpy and numba, written from the equations and the contract.

It shares no arithmetic with the hardware, only its parameters
(:class:`backspike.hw.arith.format.Float`, and the configuration object). Maps are
``(..., y, x, channel)``, weights ``(m, c, r, s)``; numbers of the storage format are float64
*value arrays* (:mod:`backspike.sim.model.number`), psums int64.
Everything that can set a sticky status takes a :class:`Status` and adds to it; everything takes
``format=BINARY16``.

    number   round_values  encode (values -> codes)  decode  read_psum  to_psum  Status
    conv     psum_fp(x, w, stride=, padding=, acc=)      -> int64; read_fp(psum, planes=)
             psum_bp(du, w, size=, stride=, padding=, mask=, acc=) -> int64; read_bp(psum)
             psum_wg(x, du, kernel=, stride=, padding=)  -> int64; read_wg(psum, plane=) -> dw
             add_dw(old, new)                            -> float32
    neuron   soma  grad  fire  pool_spikes  unpool, and the vector unit: add  subtract  multiply
             (scale)  compare
    update   update(w, v, dw, UpdateRule(lr=, mu=, wd=, k=))   -> w, v, w_stored
    network  of a backspike.network.Network: forward, backward, train_step -> StepRecord (all of a
             step)

>>> import numpy as np
>>> from backspike.sim.model import Status, encode, psum_fp, read_fp
>>> status = Status()
>>> psum = psum_fp(np.ones((1, 1, 3)), np.full((2, 3, 1, 1), 0.5), status=status)
>>> encode(read_fp(psum, status=status)), status
(array([[[15872, 15872]]], dtype=uint16), Status(overflow=False, invalid=False))
"""

from backspike.sim.model.conv import add_dw, psum_bp, psum_fp, psum_wg, read_bp, read_fp, read_wg
from backspike.sim.model.neuron import (
    Soma,
    add,
    compare,
    fire,
    grad,
    multiply,
    pool_spikes,
    soma,
    subtract,
    unpool,
)
from backspike.sim.model.number import (
    Status,
    decode,
    encode,
    psum_nan,
    read_psum,
    round_values,
    to_psum,
)
from backspike.sim.model.update import Updated, UpdateRule, update

__all__ = [
    "Soma",
    "Status",
    "UpdateRule",
    "Updated",
    "add",
    "add_dw",
    "compare",
    "decode",
    "encode",
    "fire",
    "grad",
    "multiply",
    "pool_spikes",
    "psum_bp",
    "psum_fp",
    "psum_nan",
    "psum_wg",
    "read_bp",
    "read_fp",
    "read_psum",
    "read_wg",
    "round_values",
    "soma",
    "subtract",
    "to_psum",
    "unpool",
    "update",
]
