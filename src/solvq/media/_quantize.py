"""A file of numbers goes in, one with few shared values comes out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.code import Code
from solvq.files import FormatError, check_target, replacing
from solvq.media._base import Medium
from solvq.media._open import open_medium
from solvq.media._report import FileReport, PartReport
from solvq.scalar import Certificate, quantize_certified, rate_distortion
from solvq.scalar._quantize import make_quantizer

Progress = Callable[[str, int, int], None]
MAX_VALUES = 1 << 16
CURVE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Target:
    """How many values, and how they are found.

    Parameters
    ----------
    n_values : int, optional
        Number of values of each table; 16 if nothing is given.
    max_error : float, optional
        Instead of a number: the fewest values whose mean squared error is at most this.
    psnr : float, optional
        Instead of a number: the fewest values with at least this peak signal-to-noise ratio, in
        decibels.
    method : str, default "optimal"
        Name in `solvq.scalar.METHODS`.

    Raises
    ------
    ValueError
        If more than one number is given, or one is out of range.
    """

    n_values: int | None = None
    max_error: float | None = None
    psnr: float | None = None
    method: str = "optimal"

    def __post_init__(self) -> None:
        """Check what was given."""
        given = [n for n in ("n_values", "max_error", "psnr") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; give one of them")
        make_quantizer(self.method, 1 if self.n_values is None else self.n_values, {})
        if self.n_values is not None and self.n_values > MAX_VALUES:
            raise ValueError(f"n_values is {self.n_values}; give at most {MAX_VALUES}")
        for name in ("max_error", "psnr"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Real) and math.isfinite(value)):
                raise ValueError(f"{name} is {value!r}; give a finite number")
        if self.max_error is not None and self.max_error < 0:
            raise ValueError(f"max_error is {self.max_error}; give a number >= 0")

    def error(self, peak: float) -> float | None:
        """Mean squared error that is wanted, if one is."""
        if self.psnr is not None:
            return float(peak**2 * 10.0 ** (-self.psnr / 10.0))
        return self.max_error


def _fewest(x: NDArray[Any], error: float, method: str) -> tuple[Code, Certificate]:
    """Code of the fewest values with at most this error; the error falls as they get more."""
    tried: dict[int, tuple[Code, Certificate]] = {}

    def fits(k: int) -> bool:
        tried[k] = quantize_certified(x, k, method)
        return tried[k][1].distortion <= error

    low, high = 0, 1
    while not fits(high):
        if high >= MAX_VALUES:
            raise ValueError(
                f"{MAX_VALUES} values leave an error of {tried[high][1].distortion:.3g}, and "
                f"{error:.3g} is wanted; allow more"
            )
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return tried[high]


def _peak(medium: Medium, x: NDArray[Any]) -> float:
    """Largest number of the file's kind, or the range of the data."""
    if medium.peak is not None or x.size == 0:
        return medium.peak or 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(x.max()) - float(x.min())


def _quantized(
    medium: Medium, name: str, target: Target, with_curve: bool
) -> tuple[NDArray[Any], PartReport]:
    """Part of a file with few shared values, and what became of it."""
    x = medium.parts[name]
    try:
        if x.dtype.kind not in "iuf":
            raise TypeError(f"has dtype {x.dtype}; give integers or floats of at most 64 bits")
        peak = _peak(medium, x)
        error = target.error(peak)
        if error is None:
            code, proof = quantize_certified(x, target.n_values or 16, target.method)
        else:
            code, proof = _fewest(x, error, target.method)
        curve = rate_distortion(x, tol=CURVE_TOLERANCE) if with_curve else None
    except (TypeError, ValueError) as problem:
        raise FormatError(f"{medium.label(name)}: {problem}") from None
    report = PartReport(
        name=name,
        shape=x.shape,
        dtype=str(x.dtype),
        n_values=len(code.codebook),
        bits=code.rate,
        entropy=code.entropy,
        distortion=proof.distortion,
        lower_bound=proof.lower_bound,
        peak=peak,
        curve=curve,
    )
    return code.decode(), report


def quantize_file(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    columns: Sequence[str] = (),
    curve: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    **target: Any,
) -> FileReport:
    """Write a file of numbers anew, with few shared values, and a proof of how good they are.

    Each array, column or channel gets a table of values of its own that minimises its mean squared
    error. What comes out is an ordinary file of the same kind; a picture of few enough colours is
    written as a PNG with a palette.

    Parameters
    ----------
    src : path
        ``.npy``, ``.npz``, ``.csv``, ``.parquet``, ``.png``, ``.jpg`` or ``.tif``.
    dst : path
        Output of the same kind, for a picture ``.png`` or ``.tif``; it appears whole or not at all.
    columns : sequence of str
        Columns, arrays or channels to work on. By default all channels, and all columns and arrays
        of floating-point numbers; others are kept as they are.
    curve : bool, default False
        Also compute the least error at every count up to 256, to a gap of 1e-6.
    force : bool, default False
        Replace an existing output.
    progress : callable, optional
        Called with the name of a part, the parts done and those in total.
    **target
        ``n_values``, ``max_error`` or ``psnr``, and ``method``, as `Target` takes them.

    Raises
    ------
    FormatError
        If ``src`` cannot be read, or a part does not hold finite numbers; the message names it.
    ValueError
        If an argument is out of range.
    FileExistsError
        If ``dst`` exists and ``force`` is not set.
    """
    started = time.perf_counter()
    wanted, source, path = Target(**target), Path(src), Path(dst)
    medium = open_medium(source, columns)
    medium.check_suffix(path)
    check_target(path, force)
    decoded, reports = {}, []
    for done, name in enumerate(medium.parts):
        if progress is not None:
            progress(name, done, len(medium.parts))
        decoded[name], report = _quantized(medium, name, wanted, curve)
        reports.append(report)
    size = source.stat().st_size
    with replacing(path) as part:
        medium.write(part, decoded)
    return FileReport(
        parts=tuple(reports),
        kept=medium.kept,
        nbytes_before=size,
        nbytes_after=path.stat().st_size,
        seconds=time.perf_counter() - started,
        settings=asdict(wanted),
    )
