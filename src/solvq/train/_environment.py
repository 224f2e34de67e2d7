"""What stands beside every result: command, commit, machine and versions."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from solvq import __version__


def environment() -> dict[str, Any]:
    """Describe where and by what this process runs."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "versions": {
            "solvq": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
        },
    }


def commit() -> str:
    """Commit of the source, with a mark if it was changed since; unknown for an installed one."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        return name + (" + uncommitted changes" if _git("status", "--porcelain", ":/src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    """Ask git about the repository that this file is tracked in."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    subprocess.run(
        [*git, "ls-files", "--error-unmatch", here.name], capture_output=True, check=True
    )
    asked = subprocess.run([*git, *arguments], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def machine() -> str:
    """Name of the processor, number of cores, and accelerator if there is one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    name = next(names, platform.processor() or platform.machine())
    cuda = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{cuda}"
