"""What a suite is: a subcommand of ``python -m bench``."""

import argparse
from abc import ABC, abstractmethod


class Suite(ABC):
    """A named comparison or study.

    Subclasses are final and say in `summary`, one line for ``--help``, what they run.
    """

    summary: str

    @abstractmethod
    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add the suite's own options."""

    @abstractmethod
    def run(self, options: argparse.Namespace) -> int:
        """Run, print, write; 1 if solvq failed or a claim of its own proved wrong, else 0."""
