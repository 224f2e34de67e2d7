"""Where results come from: the commit of a source tree, and the processor."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path


def commit(file: Path, folders: tuple[str, ...]) -> str:
    """Commit of the repository that a file is tracked in, with a mark if folders of it changed.

    Unknown where there is no repository, or the file is an installed one inside another.
    """
    try:
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        name = _git(file.parent, "rev-parse", "--short=12", "HEAD")
        changed = _git(file.parent, "status", "--porcelain", *(f":/{one}" for one in folders))
        return name + (" + uncommitted changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    """Ask git about a folder."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def processor() -> str:
    """Name of the model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
