"""A file of numbers goes in, one with few shared values comes out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.code import Code
from solvq.files import FormatError, check_target, replacing
from solvq.media._base import Medium
from solvq.media._open import open_medium
from solvq.media._report import FileReport, PartReport
from solvq.scalar import Certificate, certificate, quantize, quantize_certified, rate_distortion
from solvq.scalar._quantize import DEFAULT, make_quantizer
from solvq.scalar._target import PEAKS, checked_target

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
        make_quantizer(self.method, 1 if self.n_values is None else self.n_values, {})
        if self.n_values is not None and self.n_values > MAX_VALUES:
            raise ValueError(f"n_values is {self.n_values}; give at most {MAX_VALUES}")
        if self.max_error is None and self.psnr is None:
            return
        checked_target(self.max_error, self.psnr, self.n_values)
        if self.method != "optimal":
            raise ValueError(
                f"method is {self.method!r}; max_error and psnr need the exact optimum: "
                "give n_values instead"
            )

    def code(self, x: NDArray[Any]) -> tuple[Code, Certificate]:
        """Code of an array, and how far it is from the best of its size."""
        if self.max_error is None and self.psnr is None:
            return quantize_certified(x, self.n_values or DEFAULT, self.method)
        code = quantize(x, max_error=self.max_error, psnr=self.psnr)
        return code, certificate(x, code.codebook)


def _peak(x: NDArray[Any]) -> float:
    """Largest number of short unsigned dtypes, as of pictures; else the range of the data."""
    with np.errstate(over="ignore"):
        return PEAKS.get(x.dtype.name, float(x.max()) - float(x.min()))


def _quantized(
    medium: Medium, name: str, target: Target, with_curve: bool
) -> tuple[NDArray[Any], PartReport]:
    """Part of a file with few shared values, and what became of it."""
    x = medium.parts[name]
    try:
        if x.dtype.kind not in "iuf":
            raise TypeError(f"has dtype {x.dtype}; give integers or floats of at most 64 bits")
        code, proof = target.code(x)
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
        peak=_peak(x),
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
