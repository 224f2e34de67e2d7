"""``solvq quantize``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from solvq.cli._command import AsJson, Command, Force, Progress

if TYPE_CHECKING:
    from solvq.cli._parts import Parts
    from solvq.media import Target


@dataclass(frozen=True, kw_only=True)
class Quantize(Command):
    """Write a file of numbers anew, with few shared values.

    Arrays (.npy, .npz), columns of tables (.csv, .parquet) and channels of pictures (.png, .jpg,
    .tif) get the shared values that minimise their squared error. What comes out is an ordinary
    file of the same kind; a picture of few colours is a PNG with a palette.
    """

    EXAMPLE: ClassVar[str] = "Example: solvq quantize photo.png small.png --n-values 8"
    COUNTS_BYTES: ClassVar[bool] = False

    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A file named .npy, .npz, .csv, .parquet, .png, .jpg or .tif.",
            show_default=False,
        ),
    ]
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="File to write, of the same kind; a picture as .png or .tif.",
            show_default=False,
        ),
    ]
    n_values: Annotated[
        int | None,
        typer.Option(metavar="K", help="Number of shared values, 16 if nothing is given."),
    ] = None
    bits: Annotated[
        int | None,
        typer.Option(metavar="B", min=1, max=16, help="The same as --n-values 2^B."),
    ] = None
    max_error: Annotated[
        float | None,
        typer.Option(metavar="E", help="As few values as a mean squared error of E allows."),
    ] = None
    psnr: Annotated[
        float | None,
        typer.Option(
            metavar="DB", help="As few values as a peak signal-to-noise ratio of DB allows."
        ),
    ] = None
    method: Annotated[str, typer.Option(metavar="NAME", help="How the values are found.")] = (
        "optimal"
    )
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Column, array or channel to work on. Repeatable; by default all of fractions.",
        ),
    ] = None
    curve: Annotated[
        bool, typer.Option("--curve", help="Print and draw the least error at every count.")
    ] = False
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the curve into an .svg, .png or .pdf (needs matplotlib).",
            show_default=False,
        ),
    ] = None
    force: Force = False
    as_json: AsJson = False

    def target(self) -> Target:
        """How many values and how; what is wrong with it is wrong usage."""
        from solvq.media import Target

        if self.n_values is not None and self.bits is not None:
            raise typer.BadParameter("--n-values and --bits exclude each other; give one of them")
        n_values = self.n_values if self.bits is None else 1 << self.bits
        try:
            return Target(n_values, self.max_error, self.psnr, self.method)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    def run(self, progress: Progress | None) -> Parts:
        """Quantize, and draw what was asked for."""
        target = self.target()
        from solvq.cli._parts import Parts, check_plot, draw
        from solvq.media import quantize_file

        if self.plot is not None:
            check_plot(self.plot, self.force)
        report = quantize_file(
            self.source,
            self.output,
            columns=self.column or (),
            curve=self.curve or self.plot is not None,
            force=self.force,
            progress=progress,
            **vars(target),
        )
        if self.plot is not None:
            draw(report, self.plot)
        return Parts(report, self.curve, self.plot)
