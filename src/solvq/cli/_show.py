"""Everything that is printed: the report, the progress bar, one line for each failure."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.filesize import decimal

from solvq.cli._command import Progress

if TYPE_CHECKING:
    from solvq.checkpoint import Report, TensorReport

TITLES = ("values", "bits/weight", "rel. error", "gap", "dtype", "shape", "tensor")
PATIENCE = 1.0  # seconds of silence before the bar


def printable(text: str) -> str:
    """Text on one line, with escapes for what could steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def figure(value: float) -> str:
    """A relative error or gap: ``0``, ``0.0086`` or ``1.3e-13``."""
    if value == 0:
        return "0"
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.1e}"


def show(report: Report, as_json: bool, lists_tensors: bool = True) -> None:
    """Print a report on standard output, as JSON or for people, with or without its tensors."""
    if as_json:
        text = json.dumps(_strict(report.to_dict()), indent=2, allow_nan=False)
    else:
        table = _table(report.tensors) if lists_tensors else []
        text = "\n".join([*table, _total(report)])
    typer.echo(text)


def _strict(value: Any) -> Any:
    """JSON-ready value with None for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cells(tensor: TensorReport) -> tuple[str, ...]:
    """Row of a tensor under `TITLES`; the figures of one that was kept are blank."""
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    about = (tensor.dtype, shape, printable(tensor.name))
    if tensor.n_values is None:
        return "", "", "", "", *about
    error, gap = figure(tensor.relative_error), figure(tensor.gap)
    return str(tensor.n_values), f"{tensor.bits_per_weight:.2f}", error, gap, *about


def _table(tensors: Sequence[TensorReport]) -> Iterator[str]:
    """Lines of a table; names come last, so that long ones are whole and disturb nothing.

    (Plain text: `rich` would take a minute for the 100,000 tensors of a large model.)
    """
    rows = [_cells(tensor) for tensor in tensors]
    widths = [max(map(len, column)) for column in zip(TITLES, *rows, strict=True)][:-1]
    figures = sum(widths[:4]) + 2 * 3
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
            f"gap {figure(report.gap)}",
        ]
    return ", ".join([*parts, f"{report.seconds:.1f} s"])


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """Callback that moves a bar on standard error, or None if that is not a terminal.

    The bar appears after a second, and vanishes at the end.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    name = TextColumn(
        "{task.description}", markup=False, table_column=Column(overflow="ellipsis", no_wrap=True)
    )
    columns = (name, BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("starting", total=None)
    timer = threading.Timer(PATIENCE, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda name, done, total: bar.update(
            task, description=printable(name), completed=done, total=total
        )
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _say(kind: str, text: str) -> None:
    """Print one line on standard error."""
    typer.echo(f"solvq: {kind}: {printable(' '.join(text.split()))}", err=True)


def _reason(error: Exception) -> str:
    """What went wrong, in words."""
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    if isinstance(error, MemoryError):
        return f"out of memory {error}"
    if isinstance(error, (OSError, ValueError)) and str(error):
        return str(error)
    return (
        f"internal error, {type(error).__name__}: {error}; "
        "set SOLVQ_DEBUG=1 for the traceback and report it"
    )


@contextmanager
def failures_as_lines() -> Iterator[None]:
    """Turn exceptions and warnings into one line each and, for exceptions, an exit code.

    Wrong usage is left to Typer, and with ``SOLVQ_DEBUG=1`` exceptions are left to Python.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say("warning", str(message))
        try:
            yield
        except KeyboardInterrupt:
            _say("error", "interrupted")
            raise typer.Exit(130) from None
        except (typer.Exit, typer.BadParameter, BrokenPipeError):
            raise  # Typer exits quietly if nobody reads
        except Exception as error:
            if os.environ.get("SOLVQ_DEBUG"):
                raise
            _say("error", _reason(error))
            raise typer.Exit(1) from None
