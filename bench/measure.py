"""Runs one method on one problem in a fresh process, so that its peak memory is its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from bench.methods._base import Method
from bench.problem import Array, Problem

START_SECONDS = 120.0
"""Wall-clock allowance for imports, data and compilation, on top of the timeout's."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


@dataclass(frozen=True)
class Effort:
    """How hard to measure: repetitions, seconds allowed for one run, threads."""

    repeats: int
    timeout: float
    threads: int


@dataclass
class Measurement:
    """What one method did on one problem: times and memory, and the answer to be judged."""

    status: Literal["ok", "skipped", "timeout", "failed"]
    reason: str = ""
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    sort_cpu: list[float] = field(default_factory=list)
    histogram_cpu: list[float] = field(default_factory=list)
    extra_bytes: int = 0
    values: int = 0
    codebook: Array | None = None
    labels: Array | None = None
    precise: Array | None = None


def measure(method: Method, problem: Problem, effort: Effort) -> Measurement:
    """Measure one method on one problem; a slow or broken one is reported, never dropped."""
    reason = method.skip(problem)
    if reason is not None:
        return Measurement("skipped", reason)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        task = {
            "method": method.name,
            "problem": asdict(problem),
            "repeats": effort.repeats,
            "timeout": effort.timeout,
            "threads": effort.threads,
            "folder": folder,
        }
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(effort.threads))
        try:
            process = subprocess.run(
                [sys.executable, "-m", "bench.worker"],
                input=json.dumps(task),
                env=environment,
                capture_output=True,
                text=True,
                timeout=START_SECONDS + 2 * effort.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return Measurement("timeout", f"no answer after {error.timeout:.0f} s of wall time")
        if process.returncode == -signal.SIGALRM:
            return Measurement("timeout", f"one run took > {effort.timeout:g} s")
        if process.returncode != 0:
            warm = (Path(folder) / "warm").exists()
            words = failure(process.returncode, process.stderr)
            return Measurement("failed", words + ("" if warm else " (in the warm-up)"))
        return read_answer(Path(folder))


def failure(code: int, stderr: str) -> str:
    """Return one line that says how a process ended: its signal, or its last words."""
    if code < 0:
        return f"crashed with {signal.Signals(-code).name}"
    lines = [line for line in stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {code}"


def read_answer(folder: Path) -> Measurement:
    """Collect what the worker left."""
    times = json.loads((folder / "times.json").read_text())
    with np.load(folder / "answer.npz") as answer:
        arrays = {name: answer[name] for name in answer.files}
    return Measurement("ok", **times, **arrays)
