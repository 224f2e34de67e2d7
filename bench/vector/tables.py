"""Printed tables of the vector benchmarks: cells, rows, and a word on each goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.report import lines_up, number
from bench.vector.process import Measurement, Times


class Goal(NamedTuple):
    """A number that should be at most (or, if ``least``, at least) a limit."""

    text: str
    value: float | None
    limit: float
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None if it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.least else self.value <= self.limit

    def line(self) -> str:
        """The goal for people."""
        sign = ">=" if self.least else "<="
        verdict = {True: "met", False: "NOT MET", None: "not measured"}[self.met]
        return f"{verdict:<13}{self.text}: {number(self.value)} (goal {sign} {self.limit:g})"


def milliseconds(times: Times) -> tuple[str, str]:
    """Best and median CPU milliseconds."""
    return number(1e3 * min(times.cpu)), number(1e3 * float(np.median(times.cpu)))


def ratio(result: Measurement | None, other: Measurement | None, call: str) -> float | None:
    """Best CPU time a row of one divided by that of the other; None if either has none."""
    if result is None or other is None or {result.status, other.status} != {"ok"}:
        return None
    return float(per_row(result, call) / per_row(other, call))


def per_row(result: Measurement, call: str) -> float:
    """Best CPU seconds of a call divided by the rows it was given."""
    times: Times = getattr(result, call)
    return min(times.cpu) / result.rows


def small(value: float | None) -> str:
    """Write an error: two digits with an exponent, a dash for None."""
    return "-" if value is None else f"{value:.1e}"


def table(header: str, rows: Sequence[Sequence[str]]) -> str:
    """Lines of a table; titles are separated by ``|``."""
    return "\n".join(lines_up([header.split("|"), *rows]))


def silent(results: dict[str, Measurement]) -> list[str]:
    """Lines on the methods without numbers, which are never dropped."""
    return [
        f"{name}: {result.status}: {result.reason}"
        for name, result in results.items()
        if result.status != "ok"
    ]
