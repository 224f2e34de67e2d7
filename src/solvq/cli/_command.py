"""What the commands have in common.

A command is a frozen dataclass: its fields are the arguments and options, which Typer reads like
the parameters of a function, and its docstring is the help. Parsing makes an object, which
`solvq.cli` then runs. Heavy modules are imported inside `run`, so that help is instant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

if TYPE_CHECKING:
    from solvq.checkpoint import Report

Progress = Callable[[str, int, int], None]

Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="OUT", help="File to write.", show_default=False),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace an existing output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


class Command(ABC):
    """A parsed command line."""

    EXAMPLE: ClassVar[str]
    LISTS_TENSORS: ClassVar[bool] = True
    as_json: AsJson

    @abstractmethod
    def run(self, progress: Progress | None) -> Report:
        """Do the work."""
