"""Histograms as safetensors files."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from solvq.files import FormatError, check_target, replacing
from solvq.scalar._bins import (
    COLUMNS,
    HIGH,
    LOW,
    ROOT,
    SQUARE,
    SUM,
    WEIGHT,
    Tree,
    UInt64,
    edges,
    make_tree,
)
from solvq.scalar._kernels import Float64

KEY = "solvq.histogram"
VERSION = 1
TENSORS = ("nodes", "bins", "sums")
MOST_BINS = 1 << 28


class Stored(NamedTuple):
    """What a file holds: values fed, rows of the tree, bins in use, and their sums."""

    size: int
    nodes: UInt64
    bins: NDArray[np.int64]
    sums: Float64


def _checksum(arrays: dict[str, NDArray[Any]]) -> int:
    """Checksum of the tensors, in the order of their names."""
    crc32 = 0
    for name in sorted(arrays):
        crc32 = zlib.crc32(np.ascontiguousarray(arrays[name]).data, crc32)
    return crc32


def write(path: Path, stored: Stored, force: bool) -> None:
    """Write a file that appears whole or not at all."""
    check_target(path, force)
    arrays = dict(zip(TENSORS, stored[1:], strict=True))
    about = {"version": VERSION, "size": stored.size, "crc32": _checksum(arrays)}
    with replacing(path) as part:
        part.write_bytes(save(arrays, {KEY: json.dumps(about)}))


def _raw(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Description and tensors of a file, as they stand there."""
    if path.is_dir():
        raise FormatError(f"{path}: is a folder; give a file that Histogram.save wrote")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(str(path), framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise FormatError(f"{path}: not written by Histogram.save")
            about = json.loads(text)
            if about["version"] != VERSION:
                raise FormatError(
                    f"{path}: version {about['version']}; this solvq reads version {VERSION}: "
                    "upgrade solvq"
                )
            return about, {name: file.get_tensor(name) for name in TENSORS}
    except SafetensorError as error:
        raise FormatError(f"{path}: not a valid safetensors file ({error})") from None


def _check_nodes(nodes: UInt64) -> Tree:
    """Tree of rows, each of which must refine a bin of a row before it."""
    if tuple(int(n) for n in nodes[0]) != ROOT:
        raise ValueError("its bins are others")
    owners, shift, start, count = nodes[1:].T
    if nodes[:, 3].max() > MOST_BINS or nodes[:, 3].astype(np.int64).sum() > MOST_BINS:
        raise ValueError("too many bins")
    base = np.cumsum(nodes[:, 3]) - nodes[:, 3]
    if (count < 1).any() or (owners >= base[1:]).any() or np.unique(owners).size != owners.size:
        raise ValueError("a node refines a bin that is not there")
    tree = make_tree(nodes)
    place = edges(tree, owners.astype(np.int64))
    if (shift >= place.shift).any():
        raise ValueError("a node is not finer than its bin")
    one = np.uint64(1)
    first, last = place.key >> shift, (place.key + ((one << place.shift) - one)) >> shift
    if (start < first).any() or (start > last).any() or (count - one > last - start).any():
        raise ValueError("a node lies outside its bin")
    return tree


def _check_sums(stored: Stored, tree: Tree) -> None:
    """Raise unless the bins exist, and hold what numbers in them can add up to."""
    bins, sums = stored.bins, stored.sums
    if bins.size and not (bins[0] >= 0 and bins[-1] < tree.size and (np.diff(bins) > 0).all()):
        raise ValueError("bins are out of order or range")
    weight, low, high = sums[:, WEIGHT], 1.0 - sums[:, LOW], sums[:, HIGH]
    inside = (low >= 0.0) & (low <= high) & (high < 1.0)
    if not (np.isfinite(sums).all() and (weight > 0.0).all() and inside.all()):
        raise ValueError("sums are out of range")
    slack = 1.0 + 1e-6
    fits = (sums[:, SUM] <= high * weight * slack) & (sums[:, SUM] * slack >= low * weight)
    fits &= (sums[:, SQUARE] <= sums[:, SUM] * slack) & (sums[:, SQUARE] >= 0.0)
    if not fits.all():
        raise ValueError("sums do not fit together")


def read(path: Path) -> Stored:
    """What a file holds, checked."""
    try:
        about, arrays = _raw(path)
        stored = Stored(int(about["size"]), arrays["nodes"], arrays["bins"], arrays["sums"])
        shapes = (len(stored.nodes), 4), (len(stored.bins),), (len(stored.bins), COLUMNS)
        types = np.uint64, np.int64, np.float64
        for array, shape, dtype in zip(stored[1:], shapes, types, strict=True):
            if array.shape != shape or array.dtype != dtype:
                raise ValueError("tensors have other shapes or dtypes")
        if _checksum(arrays) != about["crc32"] or stored.size < 0:
            raise ValueError("checksum differs")
        _check_sums(stored, _check_nodes(stored.nodes))
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise FormatError(f"{path}: damaged histogram ({error})") from None
    return stored
