"""What a suite is: problems, the methods that meet them, and the columns of its tables."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.problem import Problem
from bench.report import Column


@dataclass(frozen=True)
class Suite:
    """A named comparison.

    Parameters
    ----------
    summary : str
        One line for ``--help``.
    problems : callable
        ``problems(quick, slow, seed)`` returns the list of problems.
    methods : tuple of str
        Keys of `bench.methods.METHODS`, ours first.
    columns : tuple of (str, callable)
        Titles, and how to write each cell.
    notes : str
        Printed under the tables: what the columns mean and what is not measured.
    """

    summary: str
    problems: Callable[[bool, bool, int], list[Problem]]
    methods: tuple[str, ...]
    columns: tuple[Column, ...]
    notes: str
