"""What stands beside every result: command, commit, machine and versions."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from solvq import __version__
from solvq.provenance import commit, processor


def environment() -> dict[str, Any]:
    """Describe where and by what this process runs."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(Path(__file__), ("src",)),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "versions": {
            "solvq": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
        },
    }


def machine() -> str:
    """Name of the processor, number of cores, and accelerator if there is one."""
    cuda = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{processor()}, {os.cpu_count()} cores{cuda}"
