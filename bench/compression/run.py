"""Runs jobs: a process for each model, one more after a job that ended it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from bench.compression.methods import METHODS
from bench.compression.place import Place
from bench.compression.results import EQUAL, Job, Results, line
from bench.compression.rows import AT_SIZE, SOLVQ, unknown
from bench.measure import THREAD_VARIABLES, failure

FLOAT = "float"
SAME_BYTES = "equal"  # stands for the runs at the competitors' sizes
CHOICES = (FLOAT, *METHODS, *SOLVQ, SAME_BYTES)


def jobs_of(model: str, methods: Iterable[str], bits: Iterable[float]) -> list[Job]:
    """What to do for a model but for the runs at equal bytes, cheap ones first."""
    wanted = set(bits)
    found = []
    for method in methods:
        if method == FLOAT:
            found.append(Job(model, FLOAT, 32.0))
        elif method != SAME_BYTES:
            rates = METHODS[method].rates if method in METHODS else SOLVQ[method].rates
            found += [Job(model, method, rate) for rate in rates if rate in wanted]
    return found


def equal_jobs(jobs: Iterable[Job], results: Results) -> list[Job]:
    """Runs of solvq at the file size of each competitor that has a result."""
    found = []
    for job in jobs:
        result = results.get(*job.key) if job.method in METHODS else None
        if result is not None:
            size = result["nbytes"]
            rows = [row for row, settings in AT_SIZE.items() if not unknown({"size": 0} | settings)]
            names = [f"solvq-{row}{EQUAL}{job.method}" for row in rows]
            found += [Job(job.model, name, job.bits, size) for name in names]
    return found


def run(
    jobs: list[Job], results: Results, place: Place, facts: dict[str, Any], limit: float
) -> str:
    """Do the jobs of one model that are not done yet; why the model was left out, if it was."""
    left = [job for job in jobs if not results.done(job)]
    while left:
        code, stderr = worker(left, results, place, facts, limit)
        results.reload()
        if code == 0:
            break
        reason, ended = failure(code, stderr), running(results, left)
        if ended is None:
            return reason
        if "SIGALRM" in reason:
            reason = f"took more than {limit:g} s"
        named = {"model": ended.model, "method": ended.method, "bits": ended.bits}
        failed = named | {"status": "failed", "reason": reason} | facts
        results.add(failed)
        print(line(failed), file=sys.stderr, flush=True)
        left = left[left.index(ended) + 1 :]
    return ""


def worker(
    jobs: list[Job], results: Results, place: Place, facts: dict[str, Any], limit: float
) -> tuple[int, str]:
    """Start the process and wait for its end."""
    results.path.with_name("running").unlink(missing_ok=True)
    where = {
        "build": str(place.build),
        "data_dir": None if place.data_dir is None else str(place.data_dir),
        "quick": place.quick,
    }
    task = {
        "jobs": jobs,
        "place": where,
        "results": str(results.path),
        "facts": facts,
        "limit": limit,
    }
    process = subprocess.run(
        [sys.executable, "-m", "bench.compression.worker"],
        input=json.dumps(task),
        env=os.environ | dict.fromkeys(THREAD_VARIABLES, "1"),
        stdout=2,  # each result is told at once
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return process.returncode, process.stderr


def running(results: Results, jobs: list[Job]) -> Job | None:
    """The job that ended its process; None if it did not get to work."""
    try:
        ended = Job(*json.loads(results.path.with_name("running").read_text()))
    except (OSError, ValueError):
        return None
    return next((job for job in jobs if job.key == ended.key), None)
