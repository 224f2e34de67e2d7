"""What a layer or solver of the vector benchmarks must provide."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from bench.vector.problem import Array, Data


class Penalty(NamedTuple):
    """Which convex problem a method's weights claim to minimise; see `bench.vector.objective`.

    ``alpha`` is relative for the ``anchored`` problem and absolute for the ``local`` one.
    """

    kind: str
    alpha: float


class Bound(NamedTuple):
    """A method bound to data: the two calls that are timed, and the arrays that are judged."""

    forward: Callable[[], object]
    training: Callable[[], object]
    answer: Callable[[], dict[str, Array]]


class Method(ABC):
    """One way to quantize vectors; a method never reports a number.

    Final subclasses are frozen dataclasses, so one class can be several rows of a table.
    """

    name: str
    package: str = "solvq"
    """Distribution name, for the version."""
    module: str = "solvq"
    """Import name."""
    needs: str = ""
    """What to install; the package if empty."""

    def missing(self) -> str | None:
        """Return why the method does not run in this interpreter, or None."""
        if importlib.util.find_spec(self.module) is None:
            return f"not installed (pip install {self.needs or self.package})"
        return None

    def penalty(self) -> Penalty | None:
        """Return the problem that the weights claim to solve, or None."""
        return None

    def rows(self, available: int, n_codes: int) -> int:
        """Return how many of the latents the method is given: few where it is very slow."""
        return available

    @abstractmethod
    def bind(self, data: Data) -> Bound:
        """Build whatever the calls need; nothing here is timed."""
