"""``solvq decompress``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from solvq.cli._command import AsJson, Command, Force, Output, Progress
from solvq.cli._tensors import Tensors


@dataclass(frozen=True, kw_only=True)
class Decompress(Command):
    """Write a compressed checkpoint back as an ordinary one.

    Names, shapes and dtypes are those of the original; kept tensors are the same to the bit.
    """

    EXAMPLE: ClassVar[str] = "Example: solvq decompress small.safetensors -o model.safetensors"

    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="A file that solvq compress wrote.", show_default=False),
    ]
    output: Output
    force: Force = False
    as_json: AsJson = False

    def run(self, progress: Progress | None) -> Tensors:
        """Restore all tensors."""
        from solvq.checkpoint import decompress

        report = decompress(self.source, self.output, force=self.force, progress=progress)
        return Tensors(report, listed=False)
