"""What became of each tensor, and of the whole."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from solvq.scalar._certificate import gap


@dataclass(frozen=True)
class TensorReport:
    """One tensor of a compressed checkpoint.

    ``n_values`` is the number of table entries (per row or group), None for a tensor kept as it
    is. `relative_error` is the sum of squared errors over the sum of squares, `lower_bound` the
    proven least of it for tables of that size (and given scales), `gap` the relative distance of
    the two. ``layout`` says what shares a table and a scale, and whether indices are coded.
    `output_error` is the relative squared error of the layer's outputs, None where no second
    moments of its inputs were given.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    n_values: int | None
    layout: str
    kept_because: str
    bits_per_weight: float
    relative_error: float
    lower_bound: float
    output_error: float | None
    energy: float
    nbytes_before: int
    nbytes_after: int

    @property
    def gap(self) -> float:
        """Relative distance of the error from its proven lower bound."""
        return gap(self.relative_error, self.lower_bound)


@dataclass(frozen=True)
class Report:
    """A compressed checkpoint; `nbytes_before` and `nbytes_after` are sizes of files.

    ``plan`` is empty without a budget; else it has the ``loss`` (or the bytes, if the error is
    limited) that was planned, and the proven least of it, ``bound``, over all choices among the
    curves of the tensors. ``notes`` say what the reader of the file left out or renamed.
    """

    tensors: tuple[TensorReport, ...]
    nbytes_before: int
    nbytes_after: int
    seconds: float
    settings: dict[str, Any]
    plan: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def compressed(self) -> tuple[TensorReport, ...]:
        """Tensors that were not kept as they are."""
        return tuple(t for t in self.tensors if t.n_values is not None)

    @property
    def ratio(self) -> float:
        """Size before over size after."""
        return self.nbytes_before / self.nbytes_after

    @property
    def bits_per_weight(self) -> float:
        """Bits of the compressed tensors per weight, tables included."""
        weights = sum(math.prod(t.shape) for t in self.compressed)
        bits = 8 * sum(t.nbytes_after for t in self.compressed)
        return bits / weights if weights else float("nan")

    def _total(self, field: str) -> float:
        """Energy-weighted mean of a relative figure over the compressed tensors."""
        energy = sum(t.energy for t in self.compressed)
        total = sum(getattr(t, field) * t.energy for t in self.compressed)
        return total / energy if energy else 0.0

    @property
    def relative_error(self) -> float:
        """Sum of squared errors over the sum of squares, compressed tensors only."""
        return self._total("relative_error")

    @property
    def gap(self) -> float:
        """Relative distance of the summed error from the summed lower bounds."""
        return gap(self._total("relative_error"), self._total("lower_bound"))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists."""
        names = ("ratio", "bits_per_weight", "relative_error", "gap")
        plain = asdict(self) | {name: getattr(self, name) for name in names}
        plain["tensors"] = [asdict(t) | {"gap": t.gap} for t in self.tensors]
        return plain
