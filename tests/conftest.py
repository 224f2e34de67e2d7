"""Settings of the whole suite: hypothesis profiles, and kernels compiled from today's source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

PACKAGE = Path(__file__).parents[1] / "src" / "solvq"

settings.register_profile("dev", max_examples=40, deadline=None)
settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=500, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_sessionstart() -> None:
    """Delete compiled kernels older than the newest kernel source.

    Numba's cache looks at a kernel's own file only, not at the files whose kernels it calls.
    """
    rooms = ("scalar", "rans", "vector", "checkpoint")
    files = [path for room in rooms for path in (PACKAGE / room).rglob("*.py")]
    kernels = [path for path in files if "@kernel" in path.read_text("utf-8")]
    newest = max(path.stat().st_mtime for path in kernels)
    for pattern in ("*.nbi", "*.nbc"):
        for path in PACKAGE.rglob(pattern):
            with suppress(FileNotFoundError):  # another process of the suite does the same
                if path.stat().st_mtime < newest:
                    path.unlink()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread of torch, and NumPy as quiet as compiled code, for kernels that run plainly."""
    torch = pytest.importorskip("torch")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with np.errstate(all="ignore"):
        yield
    torch.set_num_threads(n_threads)
