"""``solvq diff``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from solvq.cli._command import AsJson, Command, Progress, Shown
from solvq.cli._differences import ORDERS, Differences


@dataclass(frozen=True, kw_only=True)
class Diff(Command):
    """Compare two checkpoints, whoever made them.

    For every tensor: what B is made of (tables per tensor, row or group, even grids, scaled
    tables, rounded numbers), the bits it needs, its error, how far its tables are above the proven
    optimum (gap), and what re-assigning weights or re-centring values would take off the error.
    """

    EXAMPLE: ClassVar[str] = "Example: solvq diff model.safetensors small.safetensors --sort error"

    a: Annotated[
        Path,
        typer.Argument(metavar="A", help="The original checkpoint.", show_default=False),
    ]
    b: Annotated[
        Path,
        typer.Argument(
            metavar="B",
            help="What was made of it, by any tool or by solvq compress.",
            show_default=False,
        ),
    ]
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Compare only tensors with such names. Repeatable."),
    ] = None
    sort: Annotated[
        str,
        typer.Option(metavar="file|error|name", help="Order of the tensors."),
    ] = "file"
    certify: Annotated[
        bool,
        typer.Option("--certify/--no-certify", help="Prove how far tables are from the optimum."),
    ] = True
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit with 1 if the checkpoints differ in any bit."),
    ] = False
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Threads, as many as processors if not given."),
    ] = None
    as_json: AsJson = False

    def __post_init__(self) -> None:
        """Refuse an unknown order."""
        if self.sort not in ORDERS:
            raise typer.BadParameter(f"--sort is {self.sort}; give {', '.join(ORDERS)}")

    def run(self, progress: Progress | None) -> Differences:
        """Compare."""
        from solvq.checkpoint import diff

        found = diff(
            self.a,
            self.b,
            only=self.only or (),
            certify=self.certify,
            n_jobs=self.jobs,
            progress=progress,
        )
        return Differences(found, self.sort)

    def code(self, shown: Shown) -> int:
        """Exit code of a comparison."""
        return int(self.exit_code and isinstance(shown, Differences) and not shown.found.equal)
