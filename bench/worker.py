"""The process in which one method meets one problem; started by `bench.measure`, not by hand.

Reads a task as JSON from standard input: ``method``, ``problem``, ``repeats``, ``timeout``,
``threads`` and ``folder``. Writes ``answer.npz`` (codebook, labels) and ``times.json`` into the
folder.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.methods import METHODS
from bench.methods._base import Fit, Method
from bench.problem import Array, Problem
from bench.timing import timed, use_processors
from solvq.scalar._reduce import histogram

WARM_UP_SIZE = 4096
ENOUGH_SECONDS = 0.2
"""Short runs are repeated until they add up to this many seconds."""
YARDSTICK_REPEATS, YARDSTICK_SECONDS = 5, 0.1
"""Yardsticks are repeated this often and this long at least: they take microseconds."""


def repeat(call: Callable[[], Fit], repeats: int, timeout: float) -> tuple[Fit, dict[str, Any]]:
    """Time a call several times; once only when it takes a good part of the timeout."""
    runs: list[dict[str, float]] = []
    spent = 0.0
    while True:
        fit, run = timed(call, timeout)
        runs.append(run)
        spent += run["wall"]
        enough = len(runs) >= repeats and spent >= ENOUGH_SECONDS
        if enough or len(runs) >= 20 * repeats or spent + run["wall"] > timeout / 4:
            break
    columns = {key: [run[key] for run in runs] for key in ("cpu", "wall")}
    return fit, {**columns, "extra_bytes": max(run["extra"] for run in runs)}


def yardstick_seconds(call: Callable[[], object]) -> list[float]:
    """Return the CPU seconds of some calls of what the times are divided by."""
    seconds: list[float] = []
    while len(seconds) < YARDSTICK_REPEATS or sum(seconds) < YARDSTICK_SECONDS:
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return seconds


def bind(method: Method, problem: Problem, x: Array, weights: Array | None) -> Callable[[], Fit]:
    """Return the call that is measured."""
    run = method.run if x.ndim == 1 else method.run_rows
    return lambda: run(x, problem.n_values, weights, problem.seed)


def warm_up(method: Method, problem: Problem, x: Array, weights: Array | None) -> None:
    """Run the same call on a few of the values, so that imports and compilation are not timed."""
    part: Any = slice(0, WARM_UP_SIZE) if x.ndim == 1 else slice(0, 2)
    bind(method, problem, x[part], None if weights is None else weights[part])()


def main() -> None:
    """Carry out the task on standard input."""
    task = json.load(sys.stdin)
    use_processors(task["threads"])
    task["problem"]["shape"] = tuple(task["problem"]["shape"])
    method, problem = METHODS[task["method"]], Problem(**task["problem"])
    x, weights = problem.load(all_rows=method.takes_matrix)
    coarse = x.dtype.itemsize < 4
    patterns = x.view(np.uint16) if coarse else x
    if coarse and not method.accepts_bfloat16:
        x = x.astype(np.float32)
    warm_up(method, problem, x, weights)
    folder = Path(task["folder"])
    (folder / "warm").touch()
    fit, times = repeat(bind(method, problem, x, weights), task["repeats"], task["timeout"])
    singles = x.astype(np.float32)
    times["sort_cpu"] = yardstick_seconds(lambda: np.sort(singles, axis=-1))
    if coarse:
        times["histogram_cpu"] = yardstick_seconds(lambda: histogram(patterns, 1 << 16))
    times["values"] = x.size
    answer: dict[str, Any] = {"codebook": np.asarray(fit.codebook, dtype=np.float64)}
    if fit.labels is not None:
        answer["labels"] = np.asarray(fit.labels)
    precise = method.precise_codebook(x, problem.n_values) if coarse and x.ndim == 1 else None
    if precise is not None:
        answer["precise"] = precise
    np.savez(folder / "answer.npz", **answer)
    (folder / "times.json").write_text(json.dumps(times))


if __name__ == "__main__":
    main()
