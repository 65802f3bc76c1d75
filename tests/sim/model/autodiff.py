"""Equations 1 to 3 in float64, differentiated automatically: no backward equation is here."""

from __future__ import annotations

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive


@primitive
def spike(u, layer):
    """Heaviside step; its derivative is the rectangular surrogate."""
    return (u >= layer.th_f).astype(np.float64)


def _spike_vjp(_, u, layer):
    window = (u >= layer.th_l) & (u <= layer.th_r)
    return lambda g: g * window


defvjp(spike, _spike_vjp, None)


def convolve(x, w, layer):
    """(n, y, x, c) * (m, c, r, s) -> (n, e, f, m)."""
    top, bottom, left, right = layer.padding
    x = anp.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)], mode="constant")
    r_size, s_size = layer.kernel
    e_size = (x.shape[1] - r_size) // layer.stride[0] + 1
    f_size = (x.shape[2] - s_size) // layer.stride[1] + 1
    total = 0.0
    for r in range(r_size):
        for s in range(s_size):
            rows = slice(r, r + layer.stride[0] * (e_size - 1) + 1, layer.stride[0])
            columns = slice(s, s + layer.stride[1] * (f_size - 1) + 1, layer.stride[1])
            total = total + anp.einsum("nefc,mc->nefm", x[:, rows, columns], w[:, :, r, s])
    return total


def max_pool(s, pool):
    """Maximum of windows; autograd's own rule is not used, the first maximum is picked by index."""
    rows, columns = s.shape[1] // pool, s.shape[2] // pool
    inputs = anp.stack(
        [
            s[:, i : rows * pool : pool, j : columns * pool : pool]
            for i in range(pool)
            for j in range(pool)
        ]
    )
    values = inputs._value if hasattr(inputs, "_value") else inputs
    while hasattr(values, "_value"):
        values = values._value
    first = np.argmax(values, axis=0)
    return anp.sum(inputs * (np.arange(pool * pool)[:, None, None, None, None] == first), axis=0)


def run(network, weights, x, extra):
    """Spikes that leave each layer, and potentials, per time step.

    ``x`` (t, n, y, x, c) are real inputs; ``extra`` holds zeros of the shape of u per layer and
    step, added to u: the gradient with respect to them is du.
    """
    carried = [None] * len(weights)
    out, potentials = [], []
    for t in range(network.steps):
        s = x[t % len(x)]
        potentials.append([])
        for index, (layer, size, w) in enumerate(
            zip(network.layers, network.maps, weights, strict=False)
        ):
            s = anp.reshape(s, (len(s), *size))
            u = convolve(s, w, layer)
            if carried[index] is not None:
                u_before, s_before = carried[index]
                u = u + layer.alpha * u_before * (1 - s_before)
            u = u + extra[index][t]
            s = spike(u, layer)
            carried[index] = u, s
            potentials[-1].append(u)
            s = max_pool(s, layer.pool)
        out.append(s)
    return out, potentials


def differentiate(network, weights, x, loss):
    """u, du per layer as (t, ...) arrays, dw per layer; ``loss`` takes the list of outputs."""
    shapes = []
    for layer, size in zip(network.layers, network.maps, strict=False):
        g = layer.geometry(size[:2])
        shapes.append((network.steps, x.shape[1], g.e_size, g.f_size, layer.m_size))
    extra = [np.zeros(shape) for shape in shapes]
    _, potentials = run(network, weights, x, extra)
    u = [np.stack([step[i] for step in potentials]) for i in range(len(weights))]

    def objective(weights, extra):
        return loss(run(network, weights, x, extra)[0])

    dw, du = autograd.grad(objective, (0, 1))(weights, extra)
    return u, du, dw
