"""Without these, a lane could round, select or flag wrongly where no network ever goes."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16
from backspike.hw.isa.neuron.command import Operation, Source
from backspike.hw.neuron.grad import GradLane
from backspike.hw.neuron.soma import SomaLane
from backspike.hw.neuron.update_lane import UpdateLane
from tests.hw.neuron import reference
from tests.hw.neuron.reference import CORNERS, Raised, code, value
from tests.hw.simulation import simulate

SEED = 20412


def drive(lane, segments, outputs=("value", "bit_out", "overflow", "invalid")):
    """Feeds a lane one row of inputs a cycle, segment by segment of (what is held, rows).

    Returns the outputs for every row, by segment.
    """
    results = []

    async def bench(ctx):
        for held, rows in segments:
            results.append([])
            for name, number in held.items():
                ctx.set(getattr(lane, name), number)
            for cycle in range(len(rows) + lane.latency):
                for name, number in (rows[cycle] if cycle < len(rows) else {}).items():
                    ctx.set(getattr(lane, name), number)
                if cycle >= lane.latency:
                    results[-1].append(tuple(ctx.get(getattr(lane, name)) for name in outputs))
                await ctx.tick()

    simulate(lane, bench)
    return results


def step_control(**fields):
    return {"step": 1, "x": Source.U, "reads_psum": 1, "high": code(np.inf), **fields}


def vector_control(operation, x, y, **fields):
    uses = {x} if operation is Operation.COMPARE else {x, y}
    return {
        "t_acc": 1,
        "x": x,
        "y": y,
        "subtract": operation is Operation.SUBTRACT,
        "multiply": operation is Operation.MULTIPLY,
        "compare": operation is Operation.COMPARE,
        "reads_psum": Source.CONV in uses,
        "alpha": code(1),
        **fields,
    }


def some_values(rng, count):
    """Codes of corners, numbers that cancel and round, and anything."""
    near = [code(i / 8) for i in range(-20, 21)]
    kinds = (CORNERS, near, range(1 << 16))
    return [rng.choice(rng.choice(kinds)) for _ in range(count)]


def some_psums(rng, count, bits, lsb):
    """Psums of every size, on ties, at the limits, and the reserved one."""
    psums = [0, 1, -1, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, 1 - (1 << (bits - 1))]
    psums += [sign * (65504 + d) << -lsb for d in (0, 15, 16) for sign in (1, -1)]
    while len(psums) < count:
        size = rng.randrange(1, bits)
        psum = rng.getrandbits(size) >> (drop := rng.randrange(size)) << drop
        psums.append(psum * rng.choice((1, -1)))
    return rng.sample(psums, count)


def same(results, expected, rows):
    for row, result, (number, bit, raised) in zip(rows, results, expected, strict=True):
        wanted = (code(number), bit, raised.overflow, raised.invalid)
        assert result == wanted, f"{row}: {result} is not {wanted}"


@pytest.mark.parametrize(
    ("t_acc", "alpha", "th_f", "scale"),
    [
        (1, 0.5, 1.0, 0),
        (0, 0.5, 1.0, 4),
        (1, -1.5, np.inf, 15),
        (1, 1.0, 0.0, 2),
        (1, 0.9, -np.inf, 0),
    ],
)
def test_soma_step(t_acc, alpha, th_f, scale):
    rng = random.Random(f"{SEED}{t_acc}{alpha}{th_f}{scale}")
    alpha, th_f = np.float16(alpha), np.float16(th_f)
    lane = SomaLane(format=BINARY16)
    count = 700
    psums = some_psums(rng, count, BINARY16.psum_bits, BINARY16.lsb)
    # A third of the sums end exactly at the threshold, or next to it.
    rows = [
        {"psum": psum, "u": u, "bit_in": rng.getrandbits(1)}
        for psum, u in zip(psums, some_values(rng, count), strict=True)
    ]
    for row in rng.sample(rows, count // 3):
        row |= {"psum": int(np.float64(1) * 2 ** (24 + scale)) + rng.choice((-1, 0, 1)) * 2**14}
        row |= {"bit_in": 1}
    expected = []
    for row in rows:
        raised = Raised()
        conv = reference.read_psum(row["psum"], BINARY16.psum_bits, BINARY16.lsb - scale, raised)
        u, s = reference.soma(
            conv, value(row["u"]), row["bit_in"], t_acc=t_acc, alpha=alpha, th_f=th_f, raised=raised
        )
        expected.append((u, s, raised))
    control = step_control(
        t_acc=t_acc, y=Source.SCALAR, scalar=code(alpha), scale=scale, low=code(th_f), high=0
    )
    (results,) = drive(lane, [({"control": control}, rows)])
    same(results, expected, rows)
    assert any(raised.overflow for *_, raised in expected)
    assert any(raised.invalid for *_, raised in expected)


def windows(rng, count):
    """Inputs of pixels in windows of 1, 4 and 9, whole or not, with idle cycles between."""
    rows = []
    psums = some_psums(rng, count, BINARY16.product_psum_bits, BINARY16.product_lsb)
    while len(rows) < count:
        size, whole, psum = rng.choice((1, 4, 9)), rng.random() < 0.9, psums[len(rows)]
        large = rng.random() < 0.3
        if large:
            psum = rng.choice((1, -1)) * rng.randrange(30_000, 65_504) << -BINARY16.product_lsb
        spiked = rng.random() < 0.7
        for pixel in range(size):
            u = rng.choice((0x3400, 0x3C00, 0x3BFF, 0x4000, 0xB800, rng.choice(CORNERS)))
            du = some_values(rng, 1)[0]
            if large:  # each of the operations overflows now and then, whether it is used or not
                u = code(rng.choice((-2.0, -1.25, 0.5, 1.25, 1.75, 2.5)))
                du = code(rng.choice((1, -1)) * rng.randrange(20_000, 65_504))
            row = {"enter": 1, "opens": pixel == 0, "whole": whole, "psum": psum, "u": u}
            rows.append({**row, "bit_in": spiked and size > 1, "du": du})
            if rng.random() < 0.2:
                rows.append({**rows[-1], "enter": 0, "u": 0x4000, "opens": rng.getrandbits(1)})
    return rows


@pytest.mark.parametrize(
    ("t_acc", "alpha", "th_f", "th_l", "th_r"),
    [
        (1, 0.5, 1.0, 0.0, 2.0),
        (0, 0.5, 1.0, 0.5, 1.0),
        (1, -1.5, 0.25, -np.inf, np.inf),
        (1, 1.0, 1.0, 1.0, 1.0),
        (1, 2.0, np.inf, 2.0, -2.0),
        (1, 2.0, 0.5, 0.0, 1.5),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_grad_step(channels, t_acc, alpha, th_f, th_l, th_r):
    rng = random.Random(f"{SEED}{t_acc}{alpha}{th_f}{th_l}{th_r}")
    alpha, th_f, th_l, th_r = np.float16([alpha, th_f, th_l, th_r])
    lane = GradLane(format=BINARY16, channels=channels)
    rows = windows(rng, 700)
    # Whether a pixel of the window has spiked, by channel: the one whose turn it is comes first.
    expected, found = [], [False] * channels
    for row in rows:
        raised = Raised()
        if not row["enter"]:
            expected.append(None)
            continue
        u = value(row["u"])
        before = found.pop(0) and not row["opens"]
        chosen = (u >= th_f and not before) if row["bit_in"] else row["opens"]
        found.append(before or bool(u >= th_f))
        conv = np.float16(0)
        if row["whole"]:
            psum = (row["psum"], BINARY16.product_psum_bits, BINARY16.product_lsb)
            conv = reference.read_psum(*psum, raised) if chosen else conv
            reference.read_psum(*psum, raised)
        thresholds = {"th_f": th_f, "th_l": th_l, "th_r": th_r}
        du = reference.grad(
            conv, u, value(row["du"]), t_acc=t_acc, alpha=alpha, raised=raised, **thresholds
        )
        expected.append((du, bool(th_l <= u <= th_r), raised))
    control = step_control(
        t_acc=t_acc,
        y=Source.DU,
        alpha=code(alpha),
        th_f=code(th_f),
        low=code(th_l),
        high=code(th_r),
    )
    (results,) = drive(lane, [({"control": control}, rows)])
    kept = [i for i, row in enumerate(rows) if row["enter"]]
    same([results[i] for i in kept], [expected[i] for i in kept], [rows[i] for i in kept])


LANES = {
    SomaLane: (
        BINARY16.psum_bits,
        BINARY16.lsb,
        (Source.CONV, Source.U, Source.BITS, Source.SCALAR),
    ),
    GradLane: (BINARY16.product_psum_bits, BINARY16.product_lsb, tuple(Source)),
}
PAIRS = list(itertools.product(tuple(Operation)[1:], LANES))


@pytest.mark.parametrize(("operation", "lane_class"), PAIRS)
def test_vector_operations(operation, lane_class):
    bits, lsb, sources = LANES[lane_class]
    rng = random.Random(f"{SEED}{operation}{lane_class.__name__}")
    has_du = Source.DU in sources
    lane = lane_class(format=BINARY16, **({"channels": 1} if has_du else {}))
    segments, wanted = [], []
    for x, y in itertools.product(sources, repeat=2):
        if operation is Operation.COMPARE and x is not y:
            continue
        count = 40
        rows = [
            {"psum": psum, "u": u, "bit_in": rng.getrandbits(1)}
            | ({"du": du, "enter": 1, "opens": 1, "whole": 1} if has_du else {})
            for psum, u, du in zip(
                some_psums(rng, count, bits, lsb),
                some_values(rng, count),
                some_values(rng, count),
                strict=True,
            )
        ]
        scalar, low, high = (np.float16(rng.choice((-2, 0, 0.75, 3, np.inf))) for _ in range(3))
        expected = []
        for row in rows:
            raised = Raised()
            number, bit = reference.vector(
                operation,
                x,
                y,
                {
                    Source.CONV: lambda r, row=row: reference.read_psum(row["psum"], bits, lsb, r),
                    Source.U: lambda _, row=row: value(row["u"]),
                    Source.DU: lambda _, row=row: value(row["du"]),
                    Source.BITS: lambda _, row=row: np.float16(row["bit_in"]),
                    Source.SCALAR: lambda _, scalar=scalar: scalar,
                },
                low,
                high,
                raised,
            )
            expected.append((number, bit, raised))
        control = vector_control(
            operation, x, y, scalar=code(scalar), low=code(low), high=code(high)
        )
        segments.append(({"control": control}, rows))
        wanted.append(expected)
    for results, expected, (_, rows) in zip(drive(lane, segments), wanted, segments, strict=True):
        if operation is not Operation.COMPARE:
            results = [(number, False, *statuses) for number, _, *statuses in results]
        same(results, expected, rows)


def f32(number):
    number = np.float32(number)
    return 0x7FC00000 if np.isnan(number) else int(number.view(np.uint32))


def test_update():
    rng = random.Random(SEED)
    lane = UpdateLane(format=BINARY16)
    held = dict(zip(("k", "wd", "mu", "lr"), np.float32([1 / 96, 1e-4, 0.9, 0.1]), strict=True))
    corners = [0.0, -0.0, 1.0, -1.0, 65504.0, 65520.0, 1e-45, 3.4e38, -3.4e38, np.inf, np.nan]
    rows, expected = [], []
    for _ in range(500):
        dw, w, v = (
            np.float32(rng.choice(corners) if rng.random() < 0.2 else rng.gauss(0, 2))
            for _ in range(3)
        )
        rows.append({"dw": f32(dw), "w": f32(w), "v": f32(v)})
        raised = Raised()

        def do(operation, a, b, raised=raised):
            with np.errstate(all="ignore"):
                result = operation(np.float32(a), np.float32(b))
            raised.note(float(a), float(b), result)
            return result

        g = do(np.add, do(np.multiply, held["k"], dw), do(np.multiply, held["wd"], w))
        v = do(np.add, do(np.multiply, held["mu"], v), g)
        w = do(np.subtract, w, do(np.multiply, held["lr"], v))
        with np.errstate(all="ignore"):
            stored = np.float16(w)
        raised.note(float(w), 0.0, stored)
        expected.append((f32(w), f32(v), code(stored), raised.overflow, raised.invalid))
    held = {name: f32(number) for name, number in held.items()}
    outputs = ("w_out", "v_out", "stored", "overflow", "invalid")
    (results,) = drive(lane, [(held, rows)], outputs)
    for row, result, wanted in zip(rows, results, expected, strict=True):
        assert result == wanted, f"{row}: {result} is not {wanted}"
