"""The process that measures how fast checkpoints are compressed; started by ``compression-speed``.

Reads a task as JSON from standard input: ``model``, ``settings``, ``yardstick`` (``sort`` or
``histogram``), ``repeats``, ``threads``. Prints what it measured as JSON. Everything is compiled on
a small checkpoint of the same dtype before; runs and yardsticks take turns.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from bench.compression.judge import SMALLEST, relative_error
from bench.timing import timed
from solvq import checkpoint
from solvq.scalar._reduce import histogram

TIMEOUT = 1800.0
Array = NDArray[Any]
Tensors = dict[str, Array]


def sort_rows(tensors: Tensors) -> None:
    """Sort every row of every tensor."""
    for x in tensors.values():
        np.sort(x.reshape(len(x), -1), axis=1)


def count_patterns(tensors: Tensors) -> None:
    """Count the bit patterns of every 16-bit tensor, with the kernel that solvq uses."""
    for x in tensors.values():
        histogram(x.reshape(-1).view(np.uint16), 1 << 16)


YARDSTICKS: dict[str, Callable[[Tensors], None]] = {
    "sort": sort_rows,
    "histogram": count_patterns,
}


def warm_up(model: Path, settings: dict[str, Any], tensors: Tensors, threads: int) -> None:
    """Compile what the measured calls use, on the first rows of a matrix."""
    first = max(tensors.values(), key=lambda x: x.size)
    part = np.ascontiguousarray(first[: max(1, 1 << 16 // first[0].size)])
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        small, packed = Path(folder) / f"small{model.suffix}", Path(folder) / "out.safetensors"
        save_file({"w": part}, small)
        checkpoint.compress(small, packed, n_jobs=threads, **settings)


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def worker(task: dict[str, Any]) -> dict[str, Any]:
    """Measure as the task says."""
    model, settings, threads = Path(task["model"]), task["settings"], task["threads"]
    stick = YARDSTICKS[task["yardstick"]]
    original = load_file(model)
    weights = {n: x for n, x in original.items() if x.ndim >= 2 and x.size >= SMALLEST}
    weights = {n: x for n, x in weights.items() if x.dtype.name in ("float32", "bfloat16")}
    warm_up(model, settings, weights, threads)
    stick({name: x[:1] for name, x in weights.items()})
    runs, sticks = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        packed = Path(folder) / "model.safetensors"
        for _ in range(task["repeats"]):
            sticks.append(seconds(lambda: stick(weights)))
            call = lambda: checkpoint.compress(  # noqa: E731
                model, packed, n_jobs=threads, force=True, **settings
            )
            runs.append(timed(call, TIMEOUT)[1])
        restored, after = checkpoint.load(packed), packed.stat().st_size
    sticks.append(seconds(lambda: stick(weights)))
    return {
        "cpu": [run["cpu"] for run in runs],
        "wall": [run["wall"] for run in runs],
        "extra_bytes": [run["extra"] for run in runs],
        "yardstick_cpu": [cpu for cpu, _ in sticks],
        "yardstick_wall": [wall for _, wall in sticks],
        "largest_tensor": max(x.nbytes for x in original.values()),
        "before": model.stat().st_size,
        "after": after,
        "relative_error": relative_error(singles(weights), singles(restored)),
    }


def singles(tensors: Tensors) -> Tensors:
    """Tensors as float32."""
    return {name: x.astype(np.float32) for name, x in tensors.items()}


if __name__ == "__main__":
    print(json.dumps(worker(json.load(sys.stdin))))
