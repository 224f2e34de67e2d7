"""``solvq train``."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from solvq.cli._command import AsJson, Command, Force, Progress, Shown


@dataclass(frozen=True)
class Trained:
    """The last figures of a run."""

    path: Path
    figures: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Figures and folder."""
        return {"run": str(self.path), **self.figures}

    def lines(self) -> Iterator[str]:
        """One figure a line."""
        width = max(map(len, self.figures), default=0)
        for name, value in self.figures.items():
            figure = f"{value:.6g}" if isinstance(value, float) else str(value)
            yield f"{name.ljust(width)}  {figure}"
        yield f"next: solvq eval {self.path} --table"


def parse_setting(text: str) -> tuple[list[str], Any]:
    """Path and value of a setting ``name=value`` or ``name.key=value``, the value in JSON."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"--set {text}: give NAME=VALUE, as in --set width=32")
    try:
        return name.split("."), json.loads(value)
    except ValueError:
        return name.split("."), value


@dataclass(frozen=True, kw_only=True)
class Train(Command):
    """Train an autoencoder whose latents are quantized, or go on with one.

    The same command goes on where a run was stopped. Under torchrun every process takes its share
    of a batch: torchrun --nproc-per-node 2 -m solvq train ... With --set any field of
    solvq.train.Config is given a value, such as width, n_down, dim, lr, schedule, ema, precision,
    start, revive_every, interval, options.alpha or anneal.alpha=[0.1,10].
    """

    EXAMPLE: ClassVar[str] = (
        "Example: solvq train --data photos --quantizer soft-convex --steps 500 -o run"
    )
    COUNTS_BYTES: ClassVar[bool] = False

    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="RUN", help="Folder of the run.", show_default=False
        ),
    ]
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME_OR_PATH",
            help="photos (comes with scikit-image), or a file or folder: CIFAR-10, GTSRB, LSUN, "
            "images in folders or a zip, .npz.",
        ),
    ] = "photos"
    test_data: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Test images, if not of --data.", show_default=False),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Pixels a side, as they are if not given."),
    ] = None
    model: Annotated[str, typer.Option(metavar="NAME", help="vqvae or vqgan.")] = "vqvae"
    quantizer: Annotated[
        str,
        typer.Option(metavar="NAME", help="Entry of solvq.vector.METHODS, or none."),
    ] = "nearest-ema"
    n_codes: Annotated[int, typer.Option(metavar="K", help="Number of codewords.")] = 128
    objective: Annotated[str, typer.Option(metavar="NAME", help="mse, log-mse or adversarial.")] = (
        "mse"
    )
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of training.")] = 1000
    batch_size: Annotated[int, typer.Option(metavar="N", help="Images of a step.")] = 64
    seed: Annotated[int, typer.Option(metavar="S", help="Of everything random.")] = 0
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other choice. Repeatable."),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu or cuda; cuda if there is any.", show_default=False),
    ] = None
    force: Force = False
    as_json: AsJson = False

    @property
    def choices(self) -> dict[str, Any]:
        """Fields of `solvq.train.Config`."""
        names = "data test_data size model quantizer n_codes objective steps batch_size seed"
        chosen: dict[str, Any] = {name: getattr(self, name) for name in names.split()}
        for setting in self.settings or ():
            path, value = parse_setting(setting)
            place = chosen
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = value
        return chosen

    def run(self, progress: Progress | None) -> Shown:
        """Train, after a check of the choices that blames the usage and not the data."""
        from solvq.train import Config, create_run, train

        try:
            config = Config.from_dict(self.choices)
        except (ValueError, TypeError) as error:
            raise typer.BadParameter(str(error)) from None
        if self.force and "WORLD_SIZE" in os.environ:
            raise typer.BadParameter("--force is not for torchrun; remove the folder before")
        if self.force and (self.output / "config.json").is_file():
            shutil.rmtree(self.output)
        run = create_run(self.output, config)
        return Trained(self.output, train(run, device=self.device, progress=progress))
