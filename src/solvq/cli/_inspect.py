"""``solvq inspect``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from solvq.cli._command import AsJson, Command, Progress
from solvq.cli._tensors import Tensors


@dataclass(frozen=True, kw_only=True)
class Inspect(Command):
    """Show what a compressed checkpoint holds and how good it is.

    The figures are those that solvq compress wrote, or with --certify computed anew.
    """

    EXAMPLE: ClassVar[str] = "Example: solvq inspect small.safetensors --certify model.safetensors"

    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A file that solvq compress wrote.", show_default=False
        ),
    ]
    certify: Annotated[
        Path | None,
        typer.Option(
            metavar="ORIGINAL",
            help="Prove errors and gaps again, from the checkpoint it was made of.",
            show_default=False,
        ),
    ] = None
    importance: Annotated[
        Path | None,
        typer.Option(
            metavar="WEIGHTS",
            help="With --certify: the weights of the errors that it was made with.",
            show_default=False,
        ),
    ] = None
    as_json: AsJson = False

    def __post_init__(self) -> None:
        """Refuse weights of errors that are not computed."""
        if self.importance is not None and self.certify is None:
            raise typer.BadParameter("--importance weighs what --certify proves; give both")

    def run(self, progress: Progress | None) -> Tensors:
        """Read the report, or prove it again."""
        from solvq.checkpoint import inspect

        return Tensors(
            inspect(
                self.source,
                original=self.certify,
                importance=self.importance,
                progress=progress,
            )
        )
