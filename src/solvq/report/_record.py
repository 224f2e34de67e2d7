"""What stands in the folder of a run, read without torch."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.files import FormatError, json_lines

PLAIN = "none"  # the bottleneck of the plain autoencoder


@dataclass(frozen=True)
class Record:
    """A run that was evaluated.

    ``config`` and ``environment`` are what ``config.json`` holds, ``found`` is ``eval.json``.
    """

    path: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    found: dict[str, Any]

    @property
    def plain(self) -> bool:
        """Whether it is an autoencoder without bottleneck."""
        return bool(self.config["quantizer"] == PLAIN)

    def metrics(self) -> list[dict[str, Any]]:
        """Lines of ``metrics.jsonl``, none if the file is missing.

        Raises
        ------
        FormatError
            If a line is damaged.
        """
        return json_lines(self.path / "metrics.jsonl")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of ``eval.npz``.

        Raises
        ------
        FileNotFoundError, FormatError
            If it is missing or damaged.
        """
        path = self.path / "eval.npz"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; run solvq eval {self.path} --force")
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except (ValueError, zipfile.BadZipFile, EOFError) as error:
            raise FormatError(f"{path}: not the arrays of an evaluation ({error})") from None


def read_run(path: str | Path) -> Record:
    """Read the folder of a run.

    Raises
    ------
    FileNotFoundError
        If it is no run, or was not evaluated.
    FormatError
        If a file in it is damaged.
    """
    folder = Path(path)
    asked = _read(folder / "config.json", "no run is there")
    found = _read(folder / "eval.json", f"run solvq eval {folder} first")
    try:
        config = dict(asked["config"])
        _ = config["quantizer"], config["seed"], found["points"][0], found["mse"]
        return Record(folder, config, dict(asked.get("environment", {})), found)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FormatError(f"{folder}: not the record of a run ({error!r} is missing)") from None


def _read(path: Path, remedy: str) -> dict[str, Any]:
    """A JSON object."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {remedy}")
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise FormatError(f"{path}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise FormatError(f"{path}: not a JSON object")
    return found
