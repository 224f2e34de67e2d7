"""What the files have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from solvq.files import FormatError


class Medium(ABC):
    """A file of numbers that was read.

    Attributes
    ----------
    path : Path
        The file.
    parts : dict of str to ndarray
        Arrays that get a table of shared values each, by name.
    kept : dict of str to str
        Why other parts stay as they are, by name.
    """

    WORD: ClassVar[str] = "array"  # what a part is called
    TARGETS: ClassVar[tuple[str, ...]]  # suffixes of files that can be written

    path: Path
    parts: dict[str, NDArray[Any]]
    kept: dict[str, str]

    @abstractmethod
    def write(self, path: Path, decoded: Mapping[str, NDArray[Any]]) -> None:
        """Write the file anew, with other numbers in its parts."""

    def check_suffix(self, path: Path) -> None:
        """Refuse an output of another kind."""
        if path.suffix.lower() not in self.TARGETS:
            raise FormatError(
                f"{path}: what comes from {self.path.name} can be written as "
                f"{' or '.join(self.TARGETS)}; give such a name"
            )

    def label(self, name: str) -> str:
        """Name of a part in a message."""
        return f"{self.path}: {self.WORD} {name!r}" if name else str(self.path)


def choose(medium: Medium, found: Mapping[str, str], wanted: Sequence[str]) -> list[str]:
    """Names of the parts to work on.

    ``found`` says of every part what is wrong with it, ``""`` for numbers that are taken without
    being asked for, and ``"whole numbers"`` for those that are taken if wanted.
    """
    word, path = medium.WORD, medium.path
    for name in wanted:
        if name not in found:
            raise FormatError(f"{path}: has no {word} {name!r}; it has {listed(found)}")
        if found[name] not in ("", "whole numbers"):
            raise FormatError(
                f"{path}: {word} {name!r} holds {found[name]}; choose one that holds numbers"
            )
    chosen = [name for name in found if name in wanted] if wanted else []
    chosen = chosen or [name for name, fault in found.items() if not fault]
    if not chosen:
        faults = ", ".join(f"{name!r} holds {fault}" for name, fault in list(found.items())[:9])
        raise FormatError(
            f"{path}: no {word} of fractions ({faults or 'it is empty'}); name one that holds "
            "numbers with --column (columns=)"
        )
    return chosen


def listed(names: Mapping[str, Any]) -> str:
    """Some names for a message."""
    shown = [repr(name) for name in list(names)[:9]]
    return ", ".join([*shown, "…"] if len(names) > 9 else shown) or "none"


def kind_of(dtype: np.dtype[Any]) -> str:
    """What is wrong with the numbers of a dtype, in the words of `choose`."""
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return ""
    return "whole numbers" if dtype.kind in "iu" else f"{dtype} values"


def needed(path: Path, module: str, extra: str) -> Any:
    """Optional module that a file is read with."""
    try:
        return import_module(module)
    except ImportError:
        raise FormatError(
            f"{path}: such files need {module.partition('.')[0]}; pip install 'solvq[{extra}]'"
        ) from None
