"""Two checkpoints, whoever made them, tensor by tensor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NUMPY_DTYPES, Entry
from solvq.checkpoint._restore import Compressed
from solvq.checkpoint._schema import KEY
from solvq.checkpoint.compare._compare import compare, same_bits
from solvq.checkpoint.compare._difference import Difference, Errors, TensorDifference
from solvq.checkpoint.source._open import Source, open_source


class _Restored(Source):
    """A file that `compress` wrote, as the tensors that it stands for."""

    def __init__(self, path: Path, nbytes: int) -> None:
        self._compressed = Compressed(path)
        self.path, self.nbytes, self.metadata = path, nbytes, self._compressed.metadata
        self.entries = {
            tensor.name: Entry(tensor.dtype, tensor.shape, tensor.nbytes_before)
            for tensor in self._compressed.report().tensors
        }

    def in_form(self, name: str) -> bool:
        """Whether free tables of as many values say nothing of a tensor: if it is coded or scaled.

        The bound of its own form stands in the file; `inspect` proves it again.
        """
        scheme = self._compressed.manifest.tensors[name].scheme
        return scheme is not None and (scheme.coded is not None or scheme.scales is not None)

    def array(self, name: str) -> NDArray[Any]:
        return self._compressed.array(name)

    def raw(self, name: str) -> NDArray[np.uint8]:
        return self._compressed.raw(name)


def _opened(path: str | os.PathLike[str]) -> Source:
    """Checkpoint of a path; a compressed one is restored as it is read."""
    source = open_source(Path(path))
    return _Restored(source.path, source.nbytes) if KEY in source.metadata else source


def _names(a: Source, b: Source, only: Iterable[str]) -> list[str]:
    """Names of both sides that are wanted, in the order of A, then of B."""
    globs, names = tuple(only), list(a.entries | b.entries)
    wanted = [n for n in names if not globs or any(fnmatchcase(n, glob) for glob in globs)]
    if globs and not wanted:
        raise ValueError(
            f"no tensor of {a.path} or {b.path} has a name like {' or '.join(globs)}"
            + (f"; there is, for example, {names[0]!r}" if names else "")
        )
    return wanted


def _about(left: Entry | None, right: Entry | None, name: str) -> TensorDifference:
    """What the headers say of a tensor, with the reason if its numbers cannot be compared."""
    dtypes = (left and left.dtype, right and right.dtype)
    shapes = (left and left.shape, right and right.shape)
    why_not = ""
    if left is None or right is None:
        why_not = "only in B" if left is None else "only in A"
    elif left.shape != right.shape:
        why_not = "shapes differ"
    either = left or right
    return TensorDifference(name, dtypes, shapes, either.nbytes if either else 0, why_not)


def _compared(
    a: Source, b: Source, name: str, certify: bool, n_jobs: int | None
) -> TensorDifference:
    """Difference of one tensor."""
    left, right = a.entries.get(name), b.entries.get(name)
    about = _about(left, right, name)
    if about.why_not or left is None or right is None:
        return about
    unknown = sorted({e.dtype for e in (left, right)} - set(NUMPY_DTYPES))
    certify = certify and not (isinstance(b, _Restored) and b.in_form(name))
    if not unknown:
        return compare(about, a.array(name), b.array(name), certify, n_jobs)
    same = left.dtype == right.dtype and same_bits(a.raw(name), b.raw(name))
    why_not = "" if same else f"differs; dtype {unknown[0]} is unknown to NumPy"
    nothing = Errors(True, 0, 0, 0.0, 0.0, 0.0, 0.0)
    return TensorDifference(
        name, about.dtypes, about.shapes, about.nbytes, why_not, nothing if same else None
    )


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    only: Iterable[str] = (),
    certify: bool = True,
    n_jobs: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Difference:
    """Compare two checkpoints: errors, values, bits, and how far B's tables are from the optimum.

    Either side may come from any tool, or from `compress`, and is then restored as it is read.
    Tensors are matched by name and read one at a time. What B is made of (tables per tensor, row
    or group, even grids, scaled tables, or rounded numbers) is found from its values alone.

    Parameters
    ----------
    a : path
        The original: errors are relative to it, and the bounds are those of its numbers.
    b : path
        What was made of it.
    only : iterable of str, optional
        Shell patterns of the names that are looked at.
    certify : bool, default True
        Prove a lower bound for every tensor of tables; it takes most of the time.
    n_jobs : int, optional
        Threads; all processors by default.
    progress : callable, optional
        Called with a tensor's name, the bytes done and the bytes in total.

    Raises
    ------
    FormatError
        If a file cannot be read or is damaged.
    FileNotFoundError
        If there is nothing at a path.
    ValueError
        If ``only`` fits no name.

    Notes
    -----
    The bound is that of free tables of as many values as B's have, each for as many weights. An
    even grid or a scaled table is cheaper than free tables, so its distance from the bound also
    holds what its form costs; `Structure` says which it is. Tensors that `compress` coded or scaled
    have no bound here: that of their own form stands in the file, and `inspect` proves it again.
    """
    started = time.perf_counter()
    left, right = _opened(a), _opened(b)
    names = _names(left, right, only)
    sizes = [_about(left.entries.get(n), right.entries.get(n), n).nbytes for n in names]
    done, total, tensors = 0, sum(sizes), []
    for name, nbytes in zip(names, sizes, strict=True):
        tensors.append(_compared(left, right, name, certify, n_jobs))
        done += nbytes
        if progress is not None:
            progress(name, done, total)
    seconds = time.perf_counter() - started
    return Difference(tuple(tensors), left.nbytes, right.nbytes, seconds)
