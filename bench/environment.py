"""What stands beside every result: command, commit, machine and versions."""

import importlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

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


def commit() -> str:
    """Return the commit of the working tree, with a mark if code differs from it."""
    try:
        name = git("rev-parse", "--short=12", "HEAD")
        return name + (
            " + uncommitted changes" if git("status", "--porcelain", ":/src", ":/bench") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def git(*arguments: str) -> str:
    """Ask git about the repository this file is in."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def processor() -> str:
    """Return the model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def environment(packages: Iterable[str], seed: int, threads: int) -> dict[str, Any]:
    """Describe this run; `packages` are the distributions that take part."""
    return {
        "command": "python -m bench " + shlex.join(sys.argv[1:]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
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
