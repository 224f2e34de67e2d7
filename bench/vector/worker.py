"""The process in which one method lives with one problem and runs when asked.

Started by `bench.vector.process`, not by hand. Reads a task as one line of JSON, then commands,
one a line: ``forward SECONDS`` and ``training SECONDS`` time that call until it has taken so long,
``answer`` leaves the arrays to be judged in the task's file. Each gets one line of JSON back.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.timing import timed, use_processors
from bench.vector.method import Bound, Method
from bench.vector.problem import Data, VectorProblem

WARM_ROWS = 32  # of the run that loads and compiles what is loaded and compiled once
LEAST_RUNS = 2  # timed in a turn
LONG = 1.0  # seconds from which one run is a turn


def table(kind: str) -> dict[str, Method]:
    """The methods of a kind, ``layers`` or ``solvers``."""
    if kind == "layers":
        from bench.vector.layers import layers  # noqa: PLC0415

        return layers()
    from bench.vector.solvers import solvers  # noqa: PLC0415

    return solvers()


def give_back() -> None:
    """Return freed memory to the system, or it would hide what the next call needs."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def turn(call: Callable[[], object], seconds: float, timeout: float) -> dict[str, Any]:
    """Time a call some times in succession; CPU and wall seconds, and the largest extra memory.

    The first run starts with memory given back and cold caches: only its memory counts, and its
    time as well where one run is a turn.
    """
    give_back()
    runs = [timed(call, timeout)[1]]
    extra = runs[0]["extra"]
    if runs[0]["wall"] < LONG:
        runs = []
        while len(runs) < LEAST_RUNS or sum(run["wall"] for run in runs) < seconds:
            runs.append(timed(call, timeout)[1])
            extra = max(extra, runs[-1]["extra"])
    times = {key: [run[key] for run in runs] for key in ("cpu", "wall")}
    return {**times, "extra": extra}


def obey(method: Method, data: Data, bound: Bound, command: list[str], task: dict[str, Any]) -> Any:
    """Carry out one command and return the reply."""
    if command[0] == "answer":
        judged = task["judged"]
        speaker = method.bind(data.first(judged)) if judged else bound
        np.savez(task["answer"], **speaker.answer())
        return {}
    return turn(getattr(bound, command[0]), float(command[1]), task["timeout"])


def main() -> None:
    """Carry out commands until there are no more; what packages print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task = json.loads(sys.stdin.readline())
    use_processors(task["threads"])
    warnings.simplefilter("ignore")
    method = table(task["kind"])[task["method"]]
    problem = VectorProblem(**task["problem"])
    reason = method.missing()
    if reason is not None:
        print(json.dumps({"missing": reason}), file=replies, flush=True)
        return
    import torch  # noqa: PLC0415

    torch.set_num_threads(task["threads"])
    torch.manual_seed(problem.seed)
    data = problem.load().first(method.rows(problem.rows, problem.n_codes))
    warm = method.bind(data.first(WARM_ROWS))
    warm.forward()
    warm.training()
    bound = method.bind(data)
    print(json.dumps({"rows": len(data.z)}), file=replies, flush=True)
    for line in sys.stdin:
        reply = obey(method, data, bound, line.split(), task)
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
