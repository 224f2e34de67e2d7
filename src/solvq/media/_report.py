"""What became of each part of a file."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from solvq.scalar import Curve
from solvq.scalar._certificate import gap


@dataclass(frozen=True)
class PartReport:
    """An array, column or channel that was quantized.

    `distortion` is the mean squared error, `lower_bound` the proven least of it for so many values;
    `bits` are those stored per value, table included, and `entropy` those that a coder would need
    for the indices.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    n_values: int
    bits: float
    entropy: float
    distortion: float
    lower_bound: float
    peak: float
    curve: Curve | None = None

    @property
    def gap(self) -> float:
        """Relative distance of the error from its proven lower bound."""
        return gap(self.distortion, self.lower_bound)

    @property
    def psnr(self) -> float:
        """Ratio of the squared peak to the error, in decibels; infinite where there is none."""
        return self.decibels(self.distortion)

    def decibels(self, error: float) -> float:
        """Ratio of the squared peak to a mean squared error."""
        if error == 0.0:
            return math.inf
        return 10.0 * math.log10(self.peak**2 / error) if self.peak else -math.inf

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists."""
        plain = {key: value for key, value in vars(self).items() if key != "curve"}
        plain |= {"shape": list(self.shape), "gap": self.gap, "psnr": self.psnr}
        if self.curve is not None:
            names = ("n_values", "distortion", "lower_bound", "entropy")
            plain["curve"] = {name: getattr(self.curve, name).tolist() for name in names}
        return plain


@dataclass(frozen=True)
class FileReport:
    """A file that was quantized; ``nbytes_before`` and ``nbytes_after`` are sizes of files."""

    parts: tuple[PartReport, ...]
    kept: dict[str, str]
    nbytes_before: int
    nbytes_after: int
    seconds: float
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists."""
        return {
            "parts": [part.to_dict() for part in self.parts],
            **{k: v for k, v in asdict(self).items() if k not in ("parts",)},
        }
