"""Codes of one array by several methods, with the bytes that a real coder makes of them."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq import Code, quantize
from solvq.scalar import quantize_certified


class Coded(NamedTuple):
    """What is reported of a code: bits per value by entropy and by real bytes, relative error."""

    method: str
    values: int
    entropy: float
    bits: float
    error: float
    gap: float | None
    cpu: float


def coded_bytes(code: Code) -> int:
    """Bytes of indices coded by asymmetric numeral systems, of the codebook, and of the model.

    The model is a count of four bytes for each value. What was coded is decoded again.
    """
    import constriction  # noqa: PLC0415

    indices = code.indices.reshape(-1).astype(np.int32)
    counts = np.bincount(indices, minlength=len(code.codebook))
    table = code.codebook.nbytes + 4 * counts.size
    if counts.size == 1:
        return table
    model = constriction.stream.model.Categorical(
        (counts / counts.sum()).astype(np.float32), perfect=False
    )
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(indices, model)
    words = coder.get_compressed()
    if not np.array_equal(
        constriction.stream.stack.AnsCoder(words).decode(model, indices.size), indices
    ):
        raise RuntimeError("the coder did not give the indices back")
    return table + int(words.nbytes)


def report(
    method: str, x: NDArray[Any], code: Code, size: int, found: tuple[float | None, float]
) -> Coded:
    """Numbers of a code of a size in bytes; ``found`` has the gap and the CPU seconds."""
    power = float(np.mean(x.astype(np.float64) ** 2))
    error = code.distortion(x) / power
    return Coded(method, len(code.codebook), code.entropy, 8 * size / x.size, error, *found)


def priced(x: NDArray[Any], bits: float) -> Coded:
    """The method `entropy` at a rate."""
    start = time.process_time()
    code, proof = quantize_certified(x, method="entropy", bits=bits)
    spent = time.process_time() - start
    return report("entropy", x, code, coded_bytes(code), (proof.gap, spent))


def fixed(x: NDArray[Any], n_values: int) -> list[Coded]:
    """The optimum of few values: with indices of a fixed length, and the same ones coded."""
    start = time.process_time()
    code, proof = quantize_certified(x, n_values)
    found = (proof.gap, time.process_time() - start)
    plain = (code.nbits + 7) // 8
    return [
        report("optimal, fixed length", x, code, plain, found),
        report("optimal, coded", x, code, coded_bytes(code), found),
    ]


def even(x: NDArray[Any], step: float) -> Code:
    """Thresholds at even steps around zero, and the means between them."""
    flat = x.reshape(-1).astype(np.float64)
    _, indices = np.unique(np.rint(flat / step), return_inverse=True)
    means = np.bincount(indices, flat) / np.bincount(indices)
    return Code(means.astype(x.dtype), indices.reshape(x.shape))


def uniform(x: NDArray[Any], bits: float) -> Coded:
    """Even thresholds with centroids: the finest step of at most so many bits of entropy."""
    start = time.process_time()
    spread = float(x.std())
    low, high = 0.0, 1e3 * spread
    step = 3.5 * spread * 2.0**-bits
    while high / max(low, 1e-12 * spread) > 1.0 + 1e-5:
        if even(x, step).entropy > bits:
            low = step
        else:
            high = step
        step = (
            (low * high) ** 0.5
            if low and high < 1e3 * spread
            else step * (0.7 if low == 0 else 1.4)
        )
    code = even(x, high)
    return report("uniform", x, code, coded_bytes(code), (None, time.process_time() - start))


def best_at(rows: list[Coded], method: str, bits: float) -> float:
    """Error of a method at a number of real bits, interpolated in the logarithm; nan outside."""
    mine = sorted((row.bits, np.log(row.error)) for row in rows if row.method == method)
    if not mine or not mine[0][0] <= bits <= mine[-1][0]:
        return float("nan")
    return float(np.exp(np.interp(bits, *np.array(mine).T)))


def every(x: NDArray[Any], rates: tuple[float, ...], counts: tuple[int, ...]) -> list[Coded]:
    """All methods on one array."""
    quantize(x.reshape(-1)[:5000], method="entropy", bits=2.0)  # compiles
    quantize(x.reshape(-1)[:5000])
    rows = [priced(x, bits) for bits in rates]
    rows += [uniform(x, row.entropy) for row in rows]
    for n_values in counts:
        rows += fixed(x, n_values)
    return rows
