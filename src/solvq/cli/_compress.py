"""``solvq compress``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from solvq.cli._command import AsJson, Command, Force, Progress
from solvq.cli._tensors import Tensors

SAME = (
    *("ratio", "avg_bits", "max_error", "max_tensor_error", "n_values", "layout", "scale"),
    *("scale_dtype", "values", "method", "entropy", "lossless", "min_size"),
    *("feedback", "correct_bias"),
)  # options that are named as the settings are


@dataclass(frozen=True, kw_only=True)
class Compress(Command):
    """Write a checkpoint whose weights share few values.

    Every weight tensor gets the shared values that minimise its squared error, at a number of
    values that is given, or, within a budget, at the numbers that make the whole best. Tensors that
    are small, one-dimensional or not floating-point are kept as they are.
    """

    EXAMPLE: ClassVar[str] = (
        "Example: solvq compress model.safetensors -o small.safetensors --size 12MB --entropy"
    )

    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A .safetensors, .pt, .pth, .bin, .onnx or .npz file, or a folder of a model.",
            show_default=False,
        ),
    ]
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File to write, or folder for a folder.",
            show_default=False,
        ),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(metavar="BYTES", help="Largest file, as 12MB, 11.5MiB or 12000000."),
    ] = None
    ratio: Annotated[
        float | None, typer.Option(metavar="R", help="The file is at least so many times smaller.")
    ] = None
    avg_bits: Annotated[
        float | None,
        typer.Option(metavar="B", help="Most bits per weight of all compressed tensors together."),
    ] = None
    max_error: Annotated[
        float | None,
        typer.Option(metavar="E", help="Largest squared error over sum of squares, in total."),
    ] = None
    max_tensor_error: Annotated[
        float | None, typer.Option(metavar="E", help="The same, of each tensor.")
    ] = None
    n_values: Annotated[
        int | None,
        typer.Option(metavar="K", help="Number of shared values, 16 if not given."),
    ] = None
    bits: Annotated[
        int | None,
        typer.Option(
            metavar="B",
            min=1,
            max=16,
            help="The same as --n-values 2^B; with --entropy, as --avg-bits B.",
        ),
    ] = None
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="auto|tensor|row|column|rows:N|group:N|block:RxC",
            help="What shares a table: tensor if not given, auto (by curves) within a budget.",
        ),
    ] = None
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT", help="What shares a scale, named as layouts; none if not given."
        ),
    ] = None
    scale_dtype: Annotated[
        str, typer.Option(metavar="NAME", help="float16, bfloat16 or e8m0 (powers of two).")
    ] = "float16"
    values: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Table entries: auto, same (as the tensor), float16, bfloat16, e4m3 or int8.",
        ),
    ] = "auto"
    method: Annotated[str, typer.Option(metavar="NAME", help="How the values are found.")] = (
        "optimal"
    )
    entropy: Annotated[
        bool, typer.Option("--entropy", help="Code indices by their frequencies: the best size.")
    ] = False
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Lose nothing: code every tensor as it is.")
    ] = False
    importance: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Weights of the errors, as solvq.runtime.importance writes them."
        ),
    ] = None
    feedback: Annotated[
        bool,
        typer.Option(
            "--feedback", help="Choose indices for the outputs of layers; --importance has moments."
        ),
    ] = False
    correct_bias: Annotated[
        bool, typer.Option("--correct-bias", help="Keep the mean of the outputs, by the biases.")
    ] = False
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
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB=B|keep",
            help="Least bits per weight of tensors with such names, or keep. Repeatable; the last "
            "that fits counts. --dry-run shows what comes of them, --json also the default rules.",
        ),
    ] = None
    min_size: Annotated[int, typer.Option(metavar="N", help="Keep tensors of fewer weights.")] = (
        1024
    )
    skip_nonfinite: Annotated[
        bool,
        typer.Option("--skip-nonfinite", help="Keep tensors with NaN or infinite values."),
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan for a budget and write nothing.")
    ] = False
    force: Force = False
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Threads, as many as processors if not given."),
    ] = None
    as_json: AsJson = False

    def __post_init__(self) -> None:
        """Refuse two numbers of values, and nothing to write to."""
        if self.n_values is not None and self.bits is not None:
            raise typer.BadParameter("--n-values and --bits exclude each other; give one of them")
        if self.output is None and not self.dry_run:
            raise typer.BadParameter("give --output OUT, or --dry-run")

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of `solvq.checkpoint.Settings`, without those that were left out."""
        from solvq.checkpoint import RULES, parse_rule, parse_size

        given: dict[str, Any] = {name: getattr(self, name) for name in SAME}
        given |= {
            "size": None if self.size is None else parse_size(self.size),
            "include": tuple(self.include or ()) or None,
            "exclude": tuple(self.exclude or ()) or None,
            "rules": (*RULES, *map(parse_rule, self.rule)) if self.rule else None,
        }
        if self.bits is not None:
            given |= (
                {"avg_bits": float(self.bits)} if self.entropy else {"n_values": 1 << self.bits}
            )
        return {key: value for key, value in given.items() if value is not None}

    def run(self, progress: Progress | None) -> Tensors:
        """Compress, after a check of the settings that blames the usage and not the data."""
        from solvq.checkpoint import Settings, compress, plan

        try:
            settings = self.settings
            budget = Settings(**settings).budget
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if self.dry_run and budget is None:
            raise typer.BadParameter("--dry-run plans for a budget; give --size, --ratio or others")
        options: dict[str, Any] = {
            "skip_nonfinite": self.skip_nonfinite,
            "importance": self.importance,
            "n_jobs": self.jobs,
            "progress": progress,
        }
        if self.output is None or self.dry_run:
            return Tensors(plan(self.source, **options, **settings))
        report = compress(self.source, self.output, force=self.force, **options, **settings)
        return Tensors(report)
