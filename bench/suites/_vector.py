"""What the suites of vectors share: options, the head of the output, the JSON file."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bench.environment import environment, environment_text
from bench.suites._base import Suite
from bench.vector.process import Effort


class VectorSuite(Suite):
    """A suite that needs torch, asked for only when it runs."""

    example: str
    notes: str
    repeats: int = 5

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add what all vector suites take."""
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        command.epilog = f"example:\n  python -m bench {self.example}\n"
        add = command.add_argument
        add("--quick", action="store_true", help="small sizes only, for a first look")
        add("--only", metavar="TEXT", default="", help="problems whose name contains TEXT")
        add("--methods", metavar="A,B", help="only these methods, by their names in the tables")
        repeats = self.repeats
        add("--repeats", type=int, default=repeats, metavar="N", help=f"rounds (default {repeats})")
        add("--timeout", type=float, default=120, metavar="T", help="wall s for a run (120)")
        add("--threads", type=int, default=1, metavar="N", help="processors allowed (default 1)")
        add("--seed", type=int, default=0, metavar="N", help="of the data (default 0)")
        add("--json", type=Path, metavar="FILE", help="also write everything to FILE")

    def run(self, options: argparse.Namespace) -> int:
        """Print the head, the study and the notes; write the JSON file."""
        facts = environment(self._packages(), options.seed, options.threads)
        facts["versions"] |= peer_versions(options, facts["versions"])
        print(f"{options.suite}: {self.summary}\n\n{environment_text(facts)}\n", flush=True)
        results, code = self._study(options)
        print(self.notes)
        if options.json is not None:
            data = {"environment": facts, "results": results}
            options.json.write_text(json.dumps(data, indent=1) + "\n")
        return code

    @abstractmethod
    def _packages(self) -> list[str]:
        """Distributions that take part, for their versions."""

    @abstractmethod
    def _study(self, options: argparse.Namespace) -> tuple[list[dict[str, Any]], int]:
        """Run and print; what goes into the JSON file, and the exit code."""


def peer_versions(options: argparse.Namespace, versions: dict[str, str]) -> dict[str, str]:
    """Ask the interpreter of the peers, if it is another one, for what this one does not have."""
    python = effort(options).peer_python
    wanted = [package for package, version in versions.items() if version == "not installed"]
    if python == sys.executable or not wanted:
        return {}
    asked = f"import json; from importlib.metadata import version; names = {wanted!r}\n"
    asked += "print(json.dumps({name: version(name) for name in names}))"
    reply = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
    if reply.returncode:
        return {}
    found: dict[str, str] = json.loads(reply.stdout)
    return {name: f"{version} (peers' interpreter)" for name, version in found.items()}


def effort(options: argparse.Namespace) -> Effort:
    """How hard to measure."""
    python = getattr(options, "peer_python", sys.executable)
    return Effort(options.repeats, options.timeout, options.threads, python)


def chosen(names: str | None, all_of_them: Collection[str], first: str) -> list[str]:
    """Return the methods to run in the order of the table, with the yardstick among them."""
    if names is None:
        return list(all_of_them)
    wanted = {name.strip() for name in names.split(",")} | {first}
    unknown = sorted(wanted - set(all_of_them))
    if unknown:
        raise SystemExit(f"unknown methods {unknown}; choose from {', '.join(all_of_them)}")
    return [name for name in all_of_them if name in wanted]
