"""What the parts share: the options of a study, and which methods take part in it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.scalar import METHODS

Array = NDArray[Any]
Record = dict[str, Any]
COUNTS = (2, 3, 4, 8, 16, 32, 64, 128, 256)


class Entry(NamedTuple):
    """A method of `solvq.scalar.METHODS` with parameters, under the name of the tables."""

    name: str
    method: str
    parameters: dict[str, Any]

    def with_seed(self, seed: int) -> dict[str, Any]:
        """Return the parameters, with a seed where the method draws random numbers."""
        seeded = "random_state" in METHODS[self.method]().get_params()
        return self.parameters | ({"random_state": seed} if seeded else {})


def entries(shrunk: bool = True) -> list[Entry]:
    """Return every method as it is, and with ``shrunk`` those with a refit also without it."""
    found = [Entry(name, name, {}) for name in METHODS]
    if shrunk:
        found += [
            Entry(f"{name}, no refit", name, {"refit": False})
            for name, kind in METHODS.items()
            if "refit" in kind().get_params()
        ]
    return found


@dataclass
class Study:
    """Options of a run.

    Parameters
    ----------
    data_dir : Path or None
        Folder of the data sets; None for the short version.
    out : Path
        Where the results go.
    seed : int
        Of networks, draws and random starts.
    quick : bool
        Tiny sizes, to see that everything runs.
    time_limit : float
        Wall seconds that one fit may take.
    """

    data_dir: Path | None
    out: Path
    seed: int = 0
    quick: bool = False
    time_limit: float = 10.0
    notes: list[str] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether the data sets are at hand and wanted in full."""
        return self.data_dir is not None and not self.quick

    def data(self, name: str) -> Any:
        """Open a ``.npz`` file of the data folder."""
        if self.data_dir is None:
            raise FileNotFoundError(f"{name} needs --data-dir")
        return np.load(self.data_dir / name)

    def counts(self, full: tuple[int, ...] = COUNTS) -> tuple[int, ...]:
        """Return the numbers of values to try."""
        return (2, 4, 16) if self.quick else full

    def note(self, text: str) -> None:
        """Keep a remark on what was left out or done differently; the report prints it."""
        self.notes.append(text)

    def say(self, text: str) -> None:
        """Tell the person who waits what is done; on standard error."""
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
