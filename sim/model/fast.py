"""Compiled hot loops, for ordinary operands; a test holds them equal to plain numpy."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from backspike.sim.model.geometry import Geometry
from backspike.sim.model.number import Integers, Values

__all__ = ["bp_sums"]

THREADS = min(2, os.cpu_count() or 1)


def bp_sums(du: Values, w: Values, geometry: Geometry, lsb: int) -> Integers:
    """Sums over m, r, s of du * w, each product truncated toward zero to a multiple of 2**lsb.

    ``du`` (map, e, f, m), ``w`` (m, c, r, s) are finite and no product leaves the grid; the result
    is (map, y, x, c) in units of 2**lsb. Its order of addition does not matter, so maps are shared
    out to threads.
    """
    g = geometry
    maps = du.shape[0]
    psum = np.zeros((maps, g.h_size, g.w_size, w.shape[1]), dtype=np.int64)
    scaled = np.ascontiguousarray(np.ldexp(w.transpose(0, 2, 3, 1), -lsb))
    corner = g.padding[0], g.padding[2]
    bounds = [maps * i // THREADS for i in range(THREADS + 1)]
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = []
        for i in range(THREADS):
            part = slice(*bounds[i : i + 2])
            gradients = np.ascontiguousarray(du[part])
            jobs.append(pool.submit(_bp_sums, gradients, scaled, g.stride, corner, psum[part]))
        for job in jobs:
            job.result()
    return psum


@njit(nogil=True, cache=True)
def _bp_sums(du, w, stride, corner, psum):  # type: ignore[no-untyped-def]
    maps, e_size, f_size, m_size = du.shape
    _, r_size, s_size, c_size = w.shape
    _, h_size, w_size, _ = psum.shape
    for n in range(maps):
        for e in range(e_size):
            for f in range(f_size):
                for m in range(m_size):
                    d = du[n, e, f, m]
                    if d == 0.0:
                        continue
                    for r in range(r_size):
                        y = e * stride[0] + r - corner[0]
                        if y < 0 or y >= h_size:
                            continue
                        for s in range(s_size):
                            x = f * stride[1] + s - corner[1]
                            if x < 0 or x >= w_size:
                                continue
                            for c in range(c_size):
                                # The product is exact and the conversion truncates.
                                psum[n, y, x, c] += np.int64(d * w[m, r, s, c])
