"""``solvq eval``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from solvq.cli._command import AsJson, Command, Progress

if TYPE_CHECKING:
    from solvq.report import Record


@dataclass(frozen=True)
class Evaluated:
    """Runs that were evaluated, shown one by one or in one table, and files that were drawn."""

    runs: tuple[Record, ...]
    kind: str | None  # "text" or "markdown" for one table
    drawn: tuple[Path, ...]

    def to_dict(self) -> dict[str, Any]:
        """The table's rows, or everything found of each run by its folder."""
        from solvq.report import as_dict, table

        if self.kind is not None:
            return as_dict(table(self.runs))
        return {str(run.path): run.found for run in self.runs}

    def lines(self) -> Iterator[str]:
        """The table, or each run in full; then the names of the files."""
        from solvq.report import details, markdown, table, text

        if self.kind is None:
            for run in self.runs:
                yield from details(run)
        else:
            yield from (markdown if self.kind == "markdown" else text)(table(self.runs))
        yield from (f"drawn: {path}" for path in self.drawn)


@dataclass(frozen=True, kw_only=True)
class Eval(Command):
    """Measure trained autoencoders, side by side.

    Errors of images and latents, use of codewords, bits and what is left of an image after them,
    and times, on the test images. A run that was measured the same way before is only read.
    """

    EXAMPLE: ClassVar[str] = "Example: solvq eval runs/plain runs/vq runs/soft --table --plot plots"
    COUNTS_BYTES: ClassVar[bool] = False

    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of solvq train.", show_default=False),
    ]
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_PATH",
            help="Other images than those of the runs.",
            show_default=False,
        ),
    ] = None
    n_images: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Test images, evenly spread; all if not given."),
    ] = None
    features: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Network of the Fréchet distance: auto for the best at hand, or none.",
        ),
    ] = "auto"
    table: Annotated[bool, typer.Option("--table", help="One table of all runs.")] = False
    markdown: Annotated[bool, typer.Option("--markdown", help="The table in Markdown.")] = False
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw figures into a folder.", show_default=False),
    ] = None
    force: Annotated[bool, typer.Option("--force", "-f", help="Measure again in any case.")] = False
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu or cuda; cuda if there is any.", show_default=False),
    ] = None
    as_json: AsJson = False

    def run(self, progress: Progress | None) -> Evaluated:
        """Measure what was not measured yet, then read the records and draw."""
        from solvq.report import read_run

        for path in self.runs:
            self._measure(path, progress)
        records = tuple(read_run(path) for path in self.runs)
        drawn: list[Path] = []
        if self.plot is not None:
            from solvq.report.figures import draw

            drawn = draw(records, self.plot)
        kind = "markdown" if self.markdown else "text" if self.table else None
        return Evaluated(records, kind, tuple(drawn))

    def _measure(self, path: Path, progress: Progress | None) -> None:
        """Evaluate a run unless its record answers already."""
        from solvq.train import evaluate, open_images, open_run, up_to_date

        run = open_run(path)
        images = None if self.data is None else open_images(self.data, size=run.config.size)
        choices: dict[str, Any] = {
            "images": images,
            "n_images": self.n_images,
            "features": self.features,
        }
        if self.force or not up_to_date(run, **choices):
            evaluate(run, **choices, device=self.device, progress=progress)
