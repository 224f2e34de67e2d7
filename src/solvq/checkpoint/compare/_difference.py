"""What was found when two checkpoints were compared."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from solvq.checkpoint.compare._certify import Proof
from solvq.checkpoint.compare._structure import Structure
from solvq.scalar._certificate import gap


@dataclass(frozen=True)
class Errors:
    """Differences of the numbers of two tensors A and B of one shape.

    Attributes
    ----------
    identical : bool
        Whether dtype and all bits are the same.
    n_different : int
        Elements that differ as numbers; NaN equals NaN, and -0 equals 0.
    n_nonfinite : int
        Elements that are NaN or infinite on either side; errors are over the others.
    error, energy : float
        Sums of squares of ``a - b`` and of ``a``, in float64.
    relative_error : float
        Their ratio, also where these sums over- or underflow; infinite where only ``energy`` is 0.
    max_error : float
        Largest absolute difference.
    """

    identical: bool
    n_different: int
    n_nonfinite: int
    error: float
    energy: float
    relative_error: float
    max_error: float

    @property
    def snr(self) -> float:
        """Signal-to-noise ratio in decibels, infinite where there is no error."""
        if self.relative_error <= 0.0:
            return math.inf
        return -10.0 * math.log10(self.relative_error)


@dataclass(frozen=True)
class TensorDifference:
    """One name of two checkpoints A and B.

    Attributes
    ----------
    name : str
        Name of the tensor.
    dtypes, shapes : pair of str and of tuple, None for a side that has no such tensor
        In the names of safetensors.
    nbytes : int
        Bytes of the values of A, or of B where A has none.
    why_not : str
        Why the numbers were not compared; empty if they were.
    errors : Errors or None
        Differences of the numbers.
    n_values, n_values_per_row : int or None
        Distinct values of B, in all and at most in a row (first axis). None where there are more
        than 65536, or B equals A or is not finite and was not looked at.
    structure : Structure or None
        What B is made of; None where it is empty or not finite.
    proof : Proof or None
        How far B's tables are from the optimum; None where B has none.
    """

    name: str
    dtypes: tuple[str | None, str | None]
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    nbytes: int
    why_not: str = ""
    errors: Errors | None = None
    n_values: int | None = None
    n_values_per_row: int | None = None
    structure: Structure | None = None
    proof: Proof | None = None

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shapes[0] or ()) if self.shapes[0] is not None else 0

    @property
    def equal(self) -> bool:
        """Whether both sides have the tensor, with the same dtype and bits."""
        return self.errors is not None and self.errors.identical

    @property
    def bits_per_weight(self) -> float:
        """Bits that B's structure takes with indices of a fixed length; NaN if it has none."""
        if self.structure is None:
            return math.nan
        return self.structure.bits(self.size) / self.size

    @property
    def entropy_per_weight(self) -> float:
        """Bits of B's structure with indices coded at their entropy; NaN if that is not known."""
        if self.structure is None:
            return math.nan
        return self.structure.entropy + self.structure.table_bits / self.size

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists."""
        plain = asdict(self) | {"equal": self.equal, "bits_per_weight": self.bits_per_weight}
        plain["entropy_per_weight"] = self.entropy_per_weight
        if self.errors is not None:
            plain["errors"]["snr"] = self.errors.snr
        if self.proof is not None:
            plain["proof"]["gap"] = self.proof.gap
        return plain


@dataclass(frozen=True)
class Difference:
    """Two checkpoints; `nbytes_a` and `nbytes_b` are sizes of files."""

    tensors: tuple[TensorDifference, ...]
    nbytes_a: int
    nbytes_b: int
    seconds: float

    @property
    def compared(self) -> tuple[TensorDifference, ...]:
        """Tensors whose numbers were compared."""
        return tuple(t for t in self.tensors if t.errors is not None)

    @property
    def equal(self) -> bool:
        """Whether both sides have the same tensors, bit for bit."""
        return all(t.equal for t in self.tensors)

    @property
    def relative_error(self) -> float:
        """Sum of squared errors over the sum of squares of A, over the tensors that differ."""
        errors = [t.errors for t in self.tensors if t.errors and t.errors.n_different]
        error, energy = sum(e.error for e in errors), sum(e.energy for e in errors)
        if error == 0.0:
            return 0.0
        return error / energy if energy > 0.0 else math.inf

    @property
    def bits_per_weight(self) -> float:
        """Bits of B's structures per weight, over the tensors that have one and are no copy."""
        made = [t for t in self.tensors if t.structure is not None and not t.equal]
        size = sum(t.size for t in made)
        return sum(t.bits_per_weight * t.size for t in made) / size if size else math.nan

    @property
    def gap(self) -> float:
        """Relative distance of the errors of all free tables from their bounds; NaN if none.

        Grids and scaled tables are left out, since they are cheaper than what bounds them.
        """
        proved = [
            (t.proof, t.errors.energy)
            for t in self.tensors
            if t.proof and t.errors and t.structure and t.structure.kind == "table"
        ]
        error = sum(proof.error * energy for proof, energy in proved)
        bound = sum(proof.lower_bound * energy for proof, energy in proved)
        return gap(error, bound) if proved else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists."""
        names = ("nbytes_a", "nbytes_b", "seconds", "equal", "relative_error")
        totals = {name: getattr(self, name) for name in (*names, "bits_per_weight", "gap")}
        return totals | {"tensors": [tensor.to_dict() for tensor in self.tensors]}
