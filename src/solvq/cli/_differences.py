"""What is printed of two checkpoints: a table of their tensors, and the whole on one line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from solvq.cli._show import printable
from solvq.cli._tensors import figure

if TYPE_CHECKING:
    from solvq.checkpoint import Difference, TensorDifference

TITLES = ("structure of B", "bits/weight", "entropy", "rel. error", "max error", "SNR")
PROOFS = ("gap", "re-assigned", "re-centred")
ABOUT = ("dtype", "shape", "tensor")
GAP = 2  # blanks between columns

Key = Callable[["TensorDifference"], Any]


def _by_error(tensor: TensorDifference) -> tuple[bool, float]:
    """Key that puts what could not be compared first, then the largest errors."""
    if tensor.errors is None:
        return False, 0.0
    return True, -tensor.errors.relative_error


ORDERS: dict[str, Key | None] = {"file": None, "error": _by_error, "name": lambda t: t.name}


@dataclass(frozen=True)
class Differences:
    """A comparison, printed in an order of `ORDERS`."""

    found: Difference
    order: str = "file"

    @property
    def _sorted(self) -> Difference:
        """The comparison with its tensors in order."""
        key = ORDERS[self.order]
        tensors = self.found.tensors if key is None else sorted(self.found.tensors, key=key)
        return replace(self.found, tensors=tuple(tensors))

    def to_dict(self) -> dict[str, Any]:
        """Everything that was found."""
        return self._sorted.to_dict()

    def lines(self) -> Iterator[str]:
        """Yield the table of tensors, and the total."""
        tensors = self._sorted.tensors
        proofs = PROOFS if any(tensor.proof for tensor in tensors) else ()
        titles = (*TITLES, *proofs)
        rows = [_figures(tensor)[: len(titles)] for tensor in tensors]
        abouts = [_about(tensor) for tensor in tensors]
        table = [titles, *(row for row in rows if len(row) == len(titles))]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        width = max(
            [sum(widths) + GAP * (len(widths) - 1), *(len(r[0]) for r in rows if r[1:] == ())]
        )
        sides = [max(map(len, column)) for column in zip(ABOUT, *abouts, strict=True)][:-1]
        for row, about in zip([titles, *rows], [ABOUT, *abouts], strict=True):
            start = row[0] if len(row) == 1 else _right(row, widths)
            yield f"{start:<{width}}  {_right(about[:-1], sides)}  {about[-1]}"
        yield _total(self.found)


def _right(cells: tuple[str, ...], widths: list[int]) -> str:
    """Cells aligned right."""
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _either(sides: tuple[str, str]) -> str:
    """What both sides have, or one and then the other."""
    return sides[0] if sides[0] == sides[1] else " -> ".join(sides)


def _about(tensor: TensorDifference) -> tuple[str, ...]:
    """Cells under `ABOUT`; a side that lacks the tensor is left out."""
    dtypes = [dtype for dtype in tensor.dtypes if dtype is not None]
    shapes = ["x".join(map(str, s)) or "scalar" for s in tensor.shapes if s is not None]
    dtype, shape = (_either((cells[0], cells[-1])) for cells in (dtypes, shapes))
    return dtype, shape, printable(tensor.name)


def _structure(tensor: TensorDifference) -> str:
    """What a tensor is made of, in few words."""
    made = tensor.structure
    if made is None:
        return "not finite" if tensor.errors and tensor.errors.n_nonfinite else "-"
    if made.kind == "copy":
        return "copy" if tensor.equal else "equal numbers"
    if made.kind == "plain":
        rounded = made.index_bits * tensor.size < 8 * tensor.nbytes
        return f"{'rounded to ' if rounded else 'dense '}{made.precision}"
    kind = {"table": "", "grid": "grid ", "scaled": "scaled "}[made.kind]
    where = made.per.replace("group:", "")
    most = "" if made.per == "tensor" or kind else "<= "
    return f"{kind}{most}{made.n_values} per {where}"


def _share(part: float, whole: float) -> str:
    """How much less than the whole a part is, in per cent."""
    saved = 100.0 * (1.0 - part / whole)
    return f"-{saved:.2f} %" if saved >= 0.005 else "0"


def _figures(tensor: TensorDifference) -> tuple[str, ...]:
    """Cells under `TITLES` and `PROOFS`, or one with the reason why there are none."""
    errors = tensor.errors
    if errors is None:
        return (tensor.why_not,)
    if errors.n_nonfinite:
        differ = f"{errors.n_different} differ" if errors.n_different else "all the same"
        return (f"{errors.n_nonfinite} not finite; {differ}",)
    cells = (
        _structure(tensor),
        _number(tensor.bits_per_weight),
        _number(tensor.entropy_per_weight),
        figure(errors.relative_error),
        f"{errors.max_error:.3g}",
        f"{errors.snr:.2f} dB" if math.isfinite(errors.snr) else "exact",
    )
    proof = tensor.proof
    if proof is None:
        return (*cells, "", "", "")
    own = (_share(one, proof.error) for one in (proof.nearest, proof.recentred))
    return (*cells, figure(proof.gap), *own)


def _number(value: float) -> str:
    """Bits, or nothing where they are not known."""
    return f"{value:.2f}" if math.isfinite(value) else ""


def _total(found: Difference) -> str:
    """Comparison of the whole on one line."""
    equal = sum(tensor.equal for tensor in found.tensors)
    lacking = [sum(t.shapes[side] is None for t in found.tensors) for side in (1, 0)]
    parts = [
        f"total: {decimal(found.nbytes_a)} -> {decimal(found.nbytes_b)}",
        f"{len(found.compared)} tensors compared, {equal} identical",
    ]
    parts += [f"{n} only in {side}" for n, side in zip(lacking, "AB", strict=True) if n]
    other = len(found.tensors) - len(found.compared) - sum(lacking)
    parts += [f"{other} not comparable"] if other else []
    if found.compared:
        parts.append(f"relative error {figure(found.relative_error)}")
    if math.isfinite(found.bits_per_weight):
        parts.append(f"{found.bits_per_weight:.2f} bits/weight")
    if not math.isnan(found.gap):
        parts.append(f"tables {100.0 * found.gap:.2f} % above the optimum")
    return ", ".join([*parts, f"{found.seconds:.1f} s"])
