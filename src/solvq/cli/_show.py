"""How things are printed: results, the progress bar, one line for each failure."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from solvq.cli._command import Progress, Shown
from solvq.files import json_text

PATIENCE = 1.0  # seconds of silence before the bar


def printable(text: str) -> str:
    """Text on one line, with escapes for what could steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def show(shown: Shown, as_json: bool) -> None:
    """Print on standard output, as JSON or for people."""
    typer.echo(json_text(shown.to_dict()) if as_json else "\n".join(shown.lines()))


@contextmanager
def progress_bar(counts_bytes: bool = True) -> Iterator[Progress | None]:
    """Callback that moves a bar on standard error, or None if that is not a terminal.

    The bar appears after a second, and vanishes at the end. It counts bytes or steps.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    name = TextColumn(
        "{task.description}", markup=False, table_column=Column(overflow="ellipsis", no_wrap=True)
    )
    count = DownloadColumn() if counts_bytes else MofNCompleteColumn()
    columns = (name, BarColumn(), count, TimeRemainingColumn())
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
    if type(error) is ImportError:  # with the remedy; a module that is not found is a defect
        return str(error)
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
