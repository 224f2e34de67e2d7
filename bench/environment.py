"""What stands beside every result: command, commit, machine and versions."""

import importlib
import os
import platform
import shlex
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from solvq.provenance import commit, processor

BASICS = ("numpy", "numba", "scikit-learn", "scipy", "ml_dtypes")


def package_version(package: str) -> str:
    """Return the version of a distribution; of solvq also when it is only on the path."""
    try:
        return version(package)
    except PackageNotFoundError:
        pass
    if package != "solvq":
        return "not installed"
    try:
        source = importlib.import_module(package)
    except ImportError:
        return "not installed"
    return f"{getattr(source, '__version__', 'unknown')} (from source)"


def environment(packages: Iterable[str], seed: int, threads: int) -> dict[str, Any]:
    """Describe this run; `packages` are the distributions that take part."""
    return {
        "command": "python -m bench " + shlex.join(sys.argv[1:]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(Path(__file__), ("src", "bench")),
        "seed": seed,
        "threads": threads,
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {
            package: package_version(package) for package in dict.fromkeys([*BASICS, *packages])
        },
    }


def environment_text(facts: dict[str, Any]) -> str:
    """Write the description for people."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    one, five, fifteen = facts["load"]
    return "\n".join(
        [
            f"command   {facts['command']}",
            f"date      {facts['date']}   commit {facts['commit']}   seed {facts['seed']}",
            f"machine   {facts['processor']}, {facts['cores']} cores, {facts['threads']} used",
            f"          load {one} {five} {fifteen} at the start; {facts['system']}",
            f"versions  Python {facts['python']}, {versions}",
        ]
    )
