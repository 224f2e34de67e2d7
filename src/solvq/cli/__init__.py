"""The command line: it parses, calls `solvq.checkpoint`, and prints."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from solvq import __version__
from solvq.cli._command import Command, ListsMethods
from solvq.cli._compress import Compress
from solvq.cli._decompress import Decompress
from solvq.cli._diff import Diff
from solvq.cli._eval import Eval
from solvq.cli._inspect import Inspect
from solvq.cli._quantize import Quantize
from solvq.cli._show import failures_as_lines, progress_bar, show
from solvq.cli._train import Train

__all__ = ["main"]


def _run(command: Command, **_: object) -> None:
    """Do what the parsed command says."""
    with failures_as_lines():
        with progress_bar(command.COUNTS_BYTES) as progress:
            shown = command.run(progress)
        show(shown, command.as_json)
        if code := command.code(shown):
            raise typer.Exit(code)


app = typer.Typer(
    name="solvq",
    result_callback=_run,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compress", cls=ListsMethods, epilog=Compress.EXAMPLE)(Compress)
app.command("decompress", epilog=Decompress.EXAMPLE)(Decompress)
app.command("inspect", epilog=Inspect.EXAMPLE)(Inspect)
app.command("diff", epilog=Diff.EXAMPLE)(Diff)
app.command("quantize", cls=ListsMethods, epilog=Quantize.EXAMPLE)(Quantize)
app.command("train", epilog=Train.EXAMPLE)(Train)
app.command("eval", epilog=Eval.EXAMPLE)(Eval)


def _print_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(f"solvq {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: solvq compress model.safetensors -o small.safetensors --bits 3")
def _solvq(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Make model files small, with a proof of how good they are."""


def main() -> None:
    """Entry point of the console script ``solvq``.

    The exit code is 0 if all went well, 1 for a problem with data or files, 2 for wrong usage,
    130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name may not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    app()
