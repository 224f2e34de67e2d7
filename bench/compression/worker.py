"""The process that runs jobs of one model; started by `bench.compression.run`, not by hand.

Reads a task as JSON from standard input: ``jobs``, ``place``, ``results``, ``limit`` (seconds for a
job). Appends each result to the file of results as soon as it is there. The file ``running`` beside
it names the job that is being done, for the case that it ends the process.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.compression.importance import write
from bench.compression.judge import Tensors, bits_per_weight, relative_error, store
from bench.compression.methods import METHODS
from bench.compression.models import MODELS, Model
from bench.compression.models._base import torch_state
from bench.compression.place import Place
from bench.compression.results import EQUAL, Job, append, line
from bench.compression.rows import AT_SIZE, IMPORTANCE, SOLVQ, Settings, unknown
from solvq import checkpoint
from solvq.checkpoint import FormatError


def wanted(job: Job) -> Settings | None:
    """Settings of solvq for a job; None if the job is a competitor's."""
    if EQUAL in job.method:
        return {"size": job.size, **AT_SIZE[job.method.partition(EQUAL)[0].removeprefix("solvq-")]}
    row = SOLVQ.get(job.method)
    return None if row is None else row.settings | row.at(job.bits)


def as_safetensors(model: Model) -> Path:
    """Write the model for a solvq that does not read its format."""
    from safetensors.numpy import save_file

    path = model.place.build / f"{model.name}.safetensors"
    if not path.is_file():
        save_file(model.tensors(), path)
    return path


def by_solvq(model: Model, settings: Settings) -> tuple[Tensors, int, float]:
    """Compress the model's file, load what was written; its size and the CPU seconds."""
    settings = dict(settings)
    if settings.get("importance") == IMPORTANCE:
        settings["importance"] = str(importance_file(model))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        target = Path(folder) / "model.safetensors"
        started = time.process_time()
        try:
            checkpoint.compress(model.shipped(), target, n_jobs=1, **settings)
        except FormatError:
            checkpoint.compress(as_safetensors(model), target, n_jobs=1, **settings)
        seconds = time.process_time() - started
        return checkpoint.load(target), target.stat().st_size, seconds


def importance_file(model: Model) -> Path:
    """The model's importance, measured when it is not there yet."""
    path = model.place.build / f"{model.name}-importance.safetensors"
    if not path.is_file():
        write(torch_state(model.tensors()), model.calibration(), path)
    return path


def restored(model: Model, tensors: Tensors, job: Job) -> tuple[Tensors, int, float]:
    """Tensors after storage, bytes of the file, CPU seconds."""
    if job.method == "float":
        return tensors, model.shipped().stat().st_size, 0.0
    settings = wanted(job)
    if settings is not None:
        return by_solvq(model, settings)
    started = time.process_time()
    found, nbytes = store(METHODS[job.method], job.bits, tensors)
    return found, nbytes, time.process_time() - started


def outcome(model: Model, tensors: Tensors, job: Job) -> dict[str, Any]:
    """Carry out a job; what went wrong is its outcome too."""
    settings = wanted(job)
    if settings is not None and (missing := unknown(settings)):
        names = ", ".join(missing)
        return {"status": "skipped", "reason": f"solvq.checkpoint has no {names} yet"}
    found, nbytes, seconds = restored(model, tensors, job)
    return {
        "status": "ok",
        "size": job.size,
        "settings": settings,
        "nbytes": nbytes,
        "bits_per_weight": bits_per_weight(tensors, nbytes),
        "relative_error": relative_error(tensors, found),
        "quality": model.quality(found),
        "cpu": seconds,
    }


def guarded(job: Job, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Outcome of a call, or its error in a line."""
    try:
        return call()
    except Exception as error:  # a broken method must not end the others
        text = str(error).strip().splitlines()
        return {"status": "failed", "reason": f"{type(error).__name__}: {(text or [''])[0]}"}


def main() -> None:
    """Carry out the task on standard input."""
    task = json.load(sys.stdin)
    place = Place(
        Path(task["place"]["build"]),
        None if task["place"]["data_dir"] is None else Path(task["place"]["data_dir"]),
        task["place"]["quick"],
    )
    results, facts = Path(task["results"]), task["facts"]
    jobs = [Job(*job) for job in task["jobs"]]
    model = MODELS[jobs[0].model](place)
    tensors = model.tensors()
    _ = model.reference  # without its data, a model is left out
    for job in jobs:
        results.with_name("running").write_text(json.dumps(job))
        signal.setitimer(signal.ITIMER_REAL, task["limit"])  # the process ends at the limit
        found = guarded(job, lambda job=job: outcome(model, tensors, job))
        signal.setitimer(signal.ITIMER_REAL, 0)
        named = {"model": job.model, "method": job.method, "bits": job.bits}
        append(results, named | found | facts)
        print(line(named | found), flush=True)
    results.with_name("running").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
