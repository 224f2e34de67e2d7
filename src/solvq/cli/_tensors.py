"""What is printed of a compressed checkpoint: a table of its tensors, and the whole on one line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from solvq.cli._show import printable

if TYPE_CHECKING:
    from solvq.checkpoint import Report, TensorReport

TITLES = ("values", "bits/weight", "rel. error", "gap", "layout", "dtype", "shape", "tensor")


@dataclass(frozen=True)
class Tensors:
    """A report on a checkpoint, printed with or without its tensors."""

    report: Report
    listed: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Everything the report holds."""
        return self.report.to_dict()

    def lines(self) -> Iterator[str]:
        """Yield the table of tensors, and the total."""
        if self.listed:
            yield from _table(self.report.tensors)
        if self.report.plan:
            yield _plan(self.report)
        yield _total(self.report)


def figure(value: float) -> str:
    """A relative error or gap: ``0``, ``0.0086`` or ``1.3e-13``."""
    if value == 0:
        return "0"
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.1e}"


def _cells(tensor: TensorReport) -> tuple[str, ...]:
    """Row of a tensor under `TITLES`; the figures of one that was kept are blank."""
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    about = (tensor.dtype, shape, printable(tensor.name))
    if tensor.n_values is None:
        return "", "", "", "", "", *about
    error = figure(tensor.relative_error)
    gap = figure(tensor.gap) if math.isfinite(tensor.gap) else ""  # of a plan: not proved yet
    bits = f"{tensor.bits_per_weight:.2f}"
    return str(tensor.n_values), bits, error, gap, tensor.layout, *about


def _table(tensors: Sequence[TensorReport]) -> Iterator[str]:
    """Lines of a table; names come last, so that long ones are whole and disturb nothing.

    (Plain text: `rich` would take a minute for the 100,000 tensors of a large model.)
    """
    rows = [_cells(tensor) for tensor in tensors]
    widths = [max(map(len, column)) for column in zip(TITLES, *rows, strict=True)][:-1]
    figures = sum(widths[:5]) + 2 * 4
    yield _line(TITLES, widths)
    for tensor, row in zip(tensors, rows, strict=True):
        line = _line(row, widths)
        if tensor.n_values is None:
            line = printable(f"kept: {tensor.kept_because}").ljust(figures) + line[figures:]
        yield line


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    """Cells aligned right, and the last one as it is."""
    padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=False))
    return "  ".join([*padded, cells[-1]])


def _total(report: Report) -> str:
    """Report of the whole on one line."""
    sizes = f"{decimal(report.nbytes_before)} -> {decimal(report.nbytes_after)}"
    parts = [f"total: {sizes}", f"ratio {report.ratio:.2f}"]
    if report.compressed:
        parts += [
            f"{report.bits_per_weight:.2f} bits/weight",
            f"relative error {figure(report.relative_error)}",
        ]
        parts += [f"gap {figure(report.gap)}"] if math.isfinite(report.gap) else []
    return ", ".join([*parts, f"{report.seconds:.1f} s"])


def _plan(report: Report) -> str:
    """How near the plan is to the best of all plans."""
    loss, bound = report.plan["loss"], report.plan["bound"]
    limits = (report.settings.get(name) for name in ("max_error", "max_tensor_error"))
    what = "loss" if all(limit is None for limit in limits) else "bytes"
    return f"plan: {what} {loss:.6g}, no plan has less than {bound:.6g}"
