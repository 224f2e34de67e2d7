"""What is printed of a file that was quantized: a table of its parts, and the curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.filesize import decimal

from solvq.cli._show import printable
from solvq.cli._tensors import figure
from solvq.files import FormatError, check_target, replacing

if TYPE_CHECKING:
    from solvq.media import FileReport, PartReport

TITLES = ("values", "bits/value", "entropy", "error", "bound", "gap", "PSNR", "dtype", "shape", "")
CURVE_TITLES = ("values", "bits", "entropy", "error", "bound", "PSNR")
WIDTH, HEIGHT = 64, 12  # of a drawn curve, in characters
DRAWN = (".svg", ".png", ".pdf")


@dataclass(frozen=True)
class Parts:
    """A report on a file that was quantized, with its curves if wanted."""

    report: FileReport
    curves: bool
    plot: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Everything the report holds."""
        return self.report.to_dict()

    def lines(self) -> Iterator[str]:
        """Yield the table of parts, the total, and the curves."""
        yield from columns(TITLES, [_cells(part) for part in self.report.parts])
        yield from (f"kept: {printable(n)} ({why})" for n, why in self.report.kept.items())
        sizes = f"{decimal(self.report.nbytes_before)} -> {decimal(self.report.nbytes_after)}"
        yield f"total: {sizes}, {self.report.seconds:.1f} s"
        if self.curves:
            for part in self.report.parts:
                yield ""
                yield from _curve(part)
        if self.plot is not None:
            yield f"drawn: {self.plot}"


def columns(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Lines of a table: cells aligned right, and the last one as it is."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in [titles, *rows]:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([*padded[:-1], row[-1]]).rstrip()


def decibels(psnr: float) -> str:
    """A signal-to-noise ratio."""
    return f"{psnr:.2f} dB" if math.isfinite(psnr) else "exact" if psnr > 0 else "none"


def _cells(part: PartReport) -> tuple[str, ...]:
    """Row of a part under `TITLES`."""
    return (
        str(part.n_values),
        f"{part.bits:.2f}",
        f"{part.entropy:.2f}",
        f"{part.distortion:.4g}",
        f"{part.lower_bound:.4g}",
        figure(part.gap),
        decibels(part.psnr),
        part.dtype,
        "x".join(map(str, part.shape)) or "scalar",
        printable(part.name),
    )


def _curve(part: PartReport) -> Iterator[str]:
    """Table of the curve at powers of two, and a drawing of all of it."""
    curve = part.curve
    if curve is None:
        return
    yield f"least error of {printable(part.name) or 'the array'} at every count"
    rows = []
    for i, k in enumerate(curve.n_values.tolist()):
        if k & (k - 1) and i + 1 < curve.n_values.size:
            continue
        loss = float(curve.distortion[i])
        psnr = part.decibels(loss)
        bits = str((k - 1).bit_length())
        error, bound = f"{loss:.4g}", f"{curve.lower_bound[i]:.4g}"
        rows.append((str(k), bits, f"{curve.entropy[i]:.2f}", error, bound, decibels(psnr)))
    yield from columns(CURVE_TITLES, rows)
    seen = curve.distortion > 0.0
    if np.count_nonzero(seen) > 1:
        yield from drawing(curve.n_values[seen], curve.distortion[seen])


def drawing(counts: Any, losses: Any) -> Iterator[str]:
    """Error against count, both in logarithms, in characters."""
    x, y = np.log2(counts), np.log10(losses)
    column = np.rint((x - x[0]) / (x[-1] - x[0]) * (WIDTH - 1)).astype(int)
    row = np.rint((y[0] - y) / max(y[0] - y[-1], 1e-9) * (HEIGHT - 1)).astype(int)
    height = np.interp(np.arange(WIDTH), column, row)
    for r in range(HEIGHT):
        side = f"{losses[0]:.1e}" if r == 0 else f"{losses[-1]:.1e}" if r == HEIGHT - 1 else ""
        marks = "".join("*" if round(h) == r else " " for h in height)
        yield f"{side:>8} |{marks}".rstrip()
    yield f"{'':8} +{'-' * WIDTH}"
    last = str(counts[-1])
    yield f"{'':10}{str(counts[0]).ljust(WIDTH - len(last))}{last}"


def check_plot(path: Path, force: bool) -> None:
    """Refuse a drawing that cannot be made, before any work."""
    if path.suffix.lower() not in DRAWN:
        raise FormatError(f"{path}: a curve is drawn as {', '.join(DRAWN)}; give such a name")
    check_target(path, force)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise FormatError(
            f"{path}: drawing needs matplotlib; pip install matplotlib, or use --curve"
        ) from None


def draw(report: FileReport, path: Path) -> None:
    """Draw the curves of all parts, and where each part came out, into a file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.add_subplot()
    for part in report.parts:
        if part.curve is None:
            continue
        seen = part.curve.distortion > 0.0
        (line,) = axes.plot(
            part.curve.n_values[seen], part.curve.distortion[seen], label=part.name or "least error"
        )
        if part.distortion > 0.0:
            axes.plot(part.n_values, part.distortion, "o", color=line.get_color())
    axes.set(xscale="log", yscale="log", xlabel="shared values", ylabel="mean squared error")
    axes.set_xscale("log", base=2)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)
    with replacing(path) as part_of_it:
        picture.savefig(part_of_it)
