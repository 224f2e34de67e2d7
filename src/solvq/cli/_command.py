"""What the commands have in common.

A command is a frozen dataclass: its fields are the arguments and options, which Typer reads like
the parameters of a function, and its docstring is the help. Parsing makes an object, which
`solvq.cli` then runs. Heavy modules are imported inside `run`, so that help is instant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

import typer
from typer.core import TyperCommand, TyperOption

Progress = Callable[[str, int, int], None]

Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="OUT", help="File to write.", show_default=False),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace an existing output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


class Shown(Protocol):
    """What a command found, and how it is printed."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists, for JSON."""

    def lines(self) -> Iterable[str]:
        """Lines for people."""


class Command(ABC):
    """A parsed command line."""

    EXAMPLE: ClassVar[str]
    COUNTS_BYTES: ClassVar[bool] = True  # whether progress is in bytes, or in steps
    as_json: AsJson

    @abstractmethod
    def run(self, progress: Progress | None) -> Shown:
        """Do the work."""

    def code(self, shown: Shown) -> int:
        """Exit code after a run without errors."""
        return 0


class ListsMethods(TyperCommand):
    """A command whose help names the methods; only this help page waits for their import."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        from solvq.scalar import METHODS

        for parameter in self.params:
            if isinstance(parameter, TyperOption) and parameter.name == "method":
                parameter.help = f"How the values are found: {', '.join(METHODS)}."
        super().format_help(ctx, formatter)
