"""One table of several runs: a row a configuration, its seeds summed up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from solvq.report._groups import Group, group, plain_of
from solvq.report._record import Record


@dataclass(frozen=True)
class Column:
    """A figure of runs: its key, its title, how it is read from a run and printed."""

    key: str
    title: str
    read: Callable[[Record], Any]
    pattern: str


def _found(*path: str) -> Callable[[Record], Any]:
    """Reader of a figure in ``eval.json``, None where a part of the path is missing."""

    def read(run: Record) -> Any:
        value: Any = run.found
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    return read


def _times(factor: float, read: Callable[[Record], Any]) -> Callable[[Record], Any]:
    """The same figure in another unit."""

    def scaled(run: Record) -> Any:
        value = read(run)
        return None if value is None else factor * value

    return scaled


def _codes(run: Record) -> int | None:
    """Number of codewords; none without a bottleneck."""
    return None if run.plain else int(run.config["n_codes"])


COLUMNS = (
    Column("n_codes", "K", _codes, ".0f"),
    Column("mse", "MSE e-3", _times(1e3, _found("mse")), ".3f"),
    Column("psnr", "PSNR", _found("psnr"), ".2f"),
    Column("ssim", "SSIM", _found("ssim"), ".4f"),
    Column("ms_ssim", "MS-SSIM", _found("ms_ssim"), ".4f"),
    Column("frechet", "Fréchet", _found("frechet", "value"), ".3g"),
    Column("quantization_error", "quant. error", _found("quantization_error"), ".3g"),
    Column("relative_error", "relative", _found("relative_error"), ".3g"),
    Column("soft_perplexity", "soft perp.", _found("soft_perplexity"), ".1f"),
    Column("hard_perplexity", "hard perp.", _found("hard_perplexity"), ".1f"),
    Column("used", "used %", _times(100, _found("used")), ".0f"),
    Column("sent", "bits/latent", _found("bits_per_latent", "sent"), ".1f"),
    Column("entropy", "entropy", _found("bits_per_latent", "entropy"), ".1f"),
    Column("bits_per_pixel", "bits/pixel", _found("bits_per_pixel", "sent"), ".3f"),
    Column("mse_from_bits", "MSE from bits e-3", _times(1e3, _found("mse_from_bits")), ".3f"),
    Column("quantizer_ms", "quant. ms", _found("timing", "quantizer_ms", "min"), ".1f"),
    Column("step_ms", "step ms", _found("timing", "step_ms", "min"), ".1f"),
    Column("step_ratio", "step ratio", _found("timing", "step_ms", "ratio"), ".2f"),
)
OVER_PLAIN = Column("over_plain", "MSE/plain", lambda run: None, ".2f")


@dataclass(frozen=True)
class Cell:
    """Mean over seeds and half the range; None where a run lacks the figure."""

    mean: float | None
    half_range: float | None = None


@dataclass(frozen=True)
class Row:
    """A configuration: name, names of its runs, a cell a column."""

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Table:
    """Columns, rows, and what a reader must know beside them."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def table(runs: Sequence[Record]) -> Table:
    """Sum up runs: one row a configuration, plain autoencoders first.

    Several seeds of one configuration give their mean and half their range. The last column is the
    squared error over that of the plain autoencoder of the same data, architecture and training.
    Columns that no run has a figure for are left out, save the errors and that last one.

    Parameters
    ----------
    runs : sequence of Record
        From `read_run`.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not runs:
        raise ValueError("no run was given; give at least one")
    groups = group(runs)
    comparable = len(_networks(runs)) <= 1
    rows = tuple(_row(one, groups, comparable) for one in groups)
    columns = tuple(
        column
        for column in (*COLUMNS, OVER_PLAIN)
        if column is OVER_PLAIN or any(row.cells[column.key].mean is not None for row in rows)
    )
    return Table(columns, rows, tuple(_notes(runs, groups, columns)))


def _row(one: Group, groups: Sequence[Group], comparable: bool) -> Row:
    """Means over the seeds of a group."""
    cells = {column.key: summed_up(column.read(run) for run in one.runs) for column in COLUMNS}
    if not comparable:
        cells["frechet"] = Cell(None)
    plain = plain_of(one, groups)
    base = None if plain is None else summed_up(run.found["mse"] for run in plain.runs).mean
    ratios = (run.found["mse"] / base if base else None for run in one.runs)
    cells[OVER_PLAIN.key] = summed_up(ratios)
    names = tuple(run.path.name for run in one.runs)
    return Row(one.name, names, tuple(int(run.config["seed"]) for run in one.runs), cells)


def summed_up(values: Iterable[Any]) -> Cell:
    """Mean and, of several, half the range."""
    numbers = [float(v) for v in values if v is not None and math.isfinite(v)]
    if not numbers:
        return Cell(None)
    spread = (max(numbers) - min(numbers)) / 2 if len(numbers) > 1 else None
    return Cell(math.fsum(numbers) / len(numbers), spread)


def _networks(runs: Sequence[Record]) -> set[str]:
    """Networks of the Fréchet distances."""
    found = (run.found.get("frechet") for run in runs)
    return {str(one["network"]) for one in found if one}


def _notes(
    runs: Sequence[Record], groups: Sequence[Group], columns: Sequence[Column]
) -> Iterable[str]:
    """What the numbers rest on."""
    yield from sorted({_images(run) for run in runs})
    short = [run for run in runs if run.found["step"] < run.config["steps"]]
    if short:
        stops = (f"{run.path.name} at step {run.found['step']}" for run in short)
        yield f"not trained to their end: {', '.join(stops)}"
    if not any(one.plain for one in groups):
        yield "no plain autoencoder (quantizer none) among the runs, so MSE/plain is empty"
    elif any(plain_of(one, groups) is None for one in groups):
        yield "MSE/plain is empty where no plain autoencoder has the same data and training"
    if any(len(one.runs) > 1 for one in groups):
        yield "several seeds: mean ± half the range"
    networks = sorted(_networks(runs))
    if len(networks) == 1:
        about = next(run.found["frechet"] for run in runs if run.found.get("frechet"))
        yield (
            f"Fréchet distance on {about['about']}; {about['n_images']} images, comparable only "
            "with the same network and number"
        )
    elif networks:
        yield f"Fréchet distances left out, their networks differ: {', '.join(networks)}"
    yield from _origin(runs)
    yield "PSNR: mean over images; bits/latent, MSE from bits: of the bytes of the model's own code"
    yield "entropy: bits/latent of an ideal coder that knows the frequencies"
    timed = next((run.found.get("timing") for run in runs if run.found.get("timing")), None)
    if timed and any(column.key == "step_ratio" for column in columns):
        yield (
            f"times: least of several on {timed['device']} with {timed['threads']} threads, the "
            f"quantizer's forward and backward; step ratio: over {timed['reference']} in the same "
            "process"
        )


def _origin(runs: Sequence[Record]) -> Iterable[str]:
    """Where and by what the runs were trained."""
    commits = sorted({str(run.environment.get("commit")) for run in runs} - {"None"})
    machines = sorted({str(run.environment.get("machine")) for run in runs} - {"None"})
    versions = sorted(
        {f"{n} {v}" for run in runs for n, v in run.environment.get("versions", {}).items()}
    )
    if commits:
        yield f"trained at {', '.join(commits)} on {' and '.join(machines)}; {', '.join(versions)}"


def _images(run: Record) -> str:
    """What a run was evaluated on."""
    about = run.found["images"]
    return f"{about['n']} test images of {about['name']}, {about['size']} pixels wide"
