"""What a compressed checkpoint holds, and how good it is against the original."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from solvq.checkpoint._container import NUMPY_DTYPES
from solvq.checkpoint._encode import proved, weighted_squares
from solvq.checkpoint._importance import Importance
from solvq.checkpoint._report import Report, TensorReport
from solvq.checkpoint._restore import Compressed
from solvq.checkpoint._solve import Weight
from solvq.checkpoint.source._open import Source, open_source
from solvq.files import FormatError


def inspect(
    src: str | os.PathLike[str],
    *,
    original: str | os.PathLike[str] | None = None,
    importance: str | os.PathLike[str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Report of a compressed checkpoint, as it was written or proved again.

    Parameters
    ----------
    src : path
        File that `compress` wrote.
    original : path, optional
        The checkpoint it was made from: errors and lower bounds are then computed anew from the
        stored tables and the original weights, instead of read from the file.
    importance : path, optional
        The weights of the errors that it was made with, if there were any.
    progress : callable, optional
        Called with a tensor's name, the bytes done and the bytes in total.

    Raises
    ------
    FormatError
        If a file cannot be read, or ``original`` has other tensors.
    """
    started = time.perf_counter()
    compressed = Compressed(Path(src))
    report = compressed.report()
    if original is None:
        return replace(report, seconds=time.perf_counter() - started)
    source, weights = open_source(Path(original)), None
    if importance is not None:
        weights = Importance(Path(importance))
        weights.check(source.entries)
    done, total = 0, sum(t.nbytes_before for t in report.tensors)
    tensors = []
    for tensor in report.tensors:
        found = None if weights is None else weights.weights(tensor.name, tensor.shape)
        weight = None if found is None else found.reshape(-1)
        tensors.append(_proved(compressed, source, tensor, weight))
        done += tensor.nbytes_before
        if progress is not None:
            progress(tensor.name, done, total)
    return replace(report, tensors=tuple(tensors), seconds=time.perf_counter() - started)


def _proved(
    compressed: Compressed, source: Source, tensor: TensorReport, weight: Weight
) -> TensorReport:
    """Report of one tensor with figures computed from its weights."""
    entry = source.entries.get(tensor.name)
    if entry is None or (entry.dtype, entry.shape) != (tensor.dtype, tensor.shape):
        raise FormatError(
            f"{source.path}: has no tensor {tensor.name!r} of dtype {tensor.dtype} and shape "
            f"{tensor.shape}; is it the original of {compressed.path}?"
        )
    found = compressed.manifest.tensors[tensor.name]
    if found.scheme is None:
        if not found.relative_error and not np.array_equal(
            compressed.raw(tensor.name), source.raw(tensor.name)
        ):
            raise FormatError(f"{compressed.path}: kept tensor {tensor.name!r} differs")
        return tensor
    flat = source.array(tensor.name).reshape(-1)
    restored = compressed.raw(tensor.name).view(NUMPY_DTYPES[tensor.dtype])
    error, energy = weighted_squares(flat, weight, restored), weighted_squares(flat, weight)
    bound = proved(flat, weight, found, compressed.scales(tensor.name), None)
    return replace(
        tensor,
        energy=energy,
        relative_error=error / energy if energy else 0.0,
        lower_bound=min(bound, error) / energy if energy else 0.0,
    )
