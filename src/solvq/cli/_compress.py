"""``solvq compress``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from solvq.cli._command import AsJson, Command, Force, Output, Progress
from solvq.cli._tensors import Tensors


@dataclass(frozen=True, kw_only=True)
class Compress(Command):
    """Write a checkpoint whose weights share few values.

    Every weight tensor gets the shared values that minimise its squared error. Tensors that are
    small, one-dimensional or not floating-point are kept as they are.
    """

    EXAMPLE: ClassVar[str] = (
        "Example: solvq compress model.safetensors -o small.safetensors --bits 3"
    )

    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A .safetensors file, a folder with model.safetensors.index.json, or an .npz.",
            show_default=False,
        ),
    ]
    output: Output
    n_values: Annotated[
        int | None,
        typer.Option(metavar="K", help="Number of shared values, 16 if not given."),
    ] = None
    bits: Annotated[
        int | None,
        typer.Option(metavar="B", min=1, max=16, help="The same as --n-values 2^B."),
    ] = None
    per: Annotated[
        str,
        typer.Option(
            metavar="tensor|row|group:N",
            help="What shares values: a tensor, a row of it, or N consecutive weights.",
        ),
    ] = "tensor"
    method: Annotated[str, typer.Option(metavar="NAME", help="How the values are found.")] = (
        "optimal"
    )
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Compress only tensors with such names. Repeatable.",
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Keep tensors with such names. Repeatable."),
    ] = None
    min_size: Annotated[int, typer.Option(metavar="N", help="Keep tensors of fewer weights.")] = (
        1024
    )
    skip_nonfinite: Annotated[
        bool,
        typer.Option("--skip-nonfinite", help="Keep tensors with NaN or infinite values."),
    ] = False
    force: Force = False
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Threads, as many as processors if not given."),
    ] = None
    as_json: AsJson = False

    def __post_init__(self) -> None:
        """Refuse two numbers of values."""
        if self.n_values is not None and self.bits is not None:
            raise typer.BadParameter("--n-values and --bits exclude each other; give one of them")

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of `solvq.checkpoint.Settings`, without those that were left out."""
        n_values = self.n_values if self.bits is None else 1 << self.bits
        given = {
            "n_values": n_values,
            "include": tuple(self.include or ()) or None,
            "exclude": tuple(self.exclude or ()) or None,
        }
        always = {"per": self.per, "method": self.method, "min_size": self.min_size}
        return always | {key: value for key, value in given.items() if value is not None}

    def run(self, progress: Progress | None) -> Tensors:
        """Compress, after a check of the settings that blames the usage and not the data."""
        from solvq.checkpoint import Settings, compress

        try:
            Settings(**self.settings)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        report = compress(
            self.source,
            self.output,
            skip_nonfinite=self.skip_nonfinite,
            force=self.force,
            n_jobs=self.jobs,
            progress=progress,
            **self.settings,
        )
        return Tensors(report)
