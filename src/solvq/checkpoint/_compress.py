"""A checkpoint goes in, a smaller one comes out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from solvq.checkpoint._carry import check_output, output
from solvq.checkpoint._container import SafetensorsWriter
from solvq.checkpoint._importance import HESSIAN, MEAN, Importance
from solvq.checkpoint._job import Job, Progress
from solvq.checkpoint._report import Report
from solvq.checkpoint._restore import Compressed
from solvq.checkpoint._schema import KEY
from solvq.checkpoint._settings import Settings
from solvq.checkpoint._write import finish, reserved, write_tensors
from solvq.checkpoint.budget._choice import Plan
from solvq.checkpoint.budget._planner import Planner
from solvq.checkpoint.source._open import open_source
from solvq.files import FormatError

ROUNDS = 6  # files written at most until one keeps to the budget, and closely
WASTE = 2e-3  # share of a budget in bytes that the first of them may leave


def _opened(
    src: str | os.PathLike[str],
    importance: str | os.PathLike[str] | None,
    skip: bool,
    n_jobs: int | None,
    settings: Mapping[str, Any],
) -> Job:
    """The source and what is wanted of it, checked."""
    chosen = Settings(**settings)
    source = open_source(Path(src))
    if KEY in source.metadata:
        raise FormatError(f"{source.path}: is compressed already; decompress it first")
    weights = None if importance is None else Importance(Path(importance))
    if weights is not None:
        weights.check(source.entries)
    elif chosen.feedback or chosen.correct_bias:
        raise ValueError("feedback and correct_bias need the importance of the model: give it")
    needed = {"feedback": HESSIAN} if chosen.feedback else {}
    needed |= {"correct_bias": MEAN} if chosen.correct_bias else {}
    for setting, ending in needed.items():
        if weights is not None and not weights.has(ending):
            raise ValueError(
                f"{setting} needs entries NAME{ending}, and {weights.path} has none: collect them "
                "with kind 'hessian'"
            )
    return Job(source, chosen, weights, skip, n_jobs)


def plan(
    src: str | os.PathLike[str],
    *,
    skip_nonfinite: bool = False,
    importance: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Report:
    """What `compress` would do with a checkpoint within a budget, without writing anything.

    Parameters, errors and the report are those of `compress`. Sizes of entropy-coded tensors, and
    errors of tensors with scales or with many tables, are estimates.

    Raises
    ------
    ValueError
        Also if there is no budget.
    """
    started = time.perf_counter()
    job = _opened(src, importance, skip_nonfinite, n_jobs, settings)
    if job.settings.budget is None:
        raise ValueError("there is no budget to plan for; give size, ratio, avg_bits or max_error")
    planner = Planner(job, progress)
    return planner.report(planner.plan(1.0), time.perf_counter() - started)


def _planned(planner: Planner, aim: float, other: Plan | None) -> Plan:
    """Plan for a share of the budget, or another one if there is none."""
    try:
        return planner.plan(aim)
    except ValueError:
        if other is None:
            raise
        return other


def _written(job: Job, target: Path, progress: Progress | None) -> None:
    """Write files until one keeps to the budget."""
    planner, aim = Planner(job, progress), 1.0
    wide: Plan | None = None  # one that keeps to the budget, but wastes some of it
    for turn in range(ROUNDS):
        chosen = wide if wide and turn == ROUNDS - 1 else _planned(planner, aim, wide)
        recipes = chosen.recipes or job.recipes
        with SafetensorsWriter(target, reserved(job, recipes)) as writer:
            found = write_tensors(writer, job, recipes, progress)
            packed = planner.manifest(found, chosen).packed()
            size = writer.nbytes + packed.size
            used = planner.used(found, size)
            if used <= 1.0 and (turn or used >= 1.0 - WASTE or not job.settings.entropy):
                finish(writer, job, packed)
                return
        wide = chosen if used <= 1.0 else wide
        planner.learn(chosen, found, size)
        aim = planner.next_aim(aim, used, chosen)
    raise ValueError(f"no file kept to the budget in {ROUNDS} tries; give a little more")


def compress(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    skip_nonfinite: bool = False,
    importance: str | os.PathLike[str] | None = None,
    force: bool = False,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Report:
    """Write a checkpoint whose weights share few values, with a proof of how good they are.

    Each weight tensor gets the tables that minimise its squared error at the wanted number of
    values, or, within a budget, at the numbers that make the whole best; small, one-dimensional and
    non-float tensors are kept as they are by default.

    Parameters
    ----------
    src : path
        ``.safetensors``, ``.npz``, ``.onnx``, or ``.pt``, ``.pth``, ``.bin`` of torch (read without
        running anything), or a folder as Hugging Face lays it out, also sharded.
    dst : path
        Output, one plain safetensors file; for a folder a folder, with the files that go along,
        unless it is named ``.safetensors``. It appears whole or not at all.
    skip_nonfinite : bool, default False
        Keep tensors with NaN or infinite values as they are instead of stopping.
    importance : path, optional
        Weights of the squared errors: a file of `solvq.runtime.importance`. All figures of the
        report are then weighted.
    force : bool, default False
        Replace an existing output.
    n_jobs : int, optional
        Threads; all processors by default. Memory stays near the largest tensor.
    progress : callable, optional
        Called with a tensor's name, the bytes done and the bytes in total; with a budget once over
        all tensors for their curves, and then again for each file that is tried.
    **settings
        What to compress and how, as `Settings` takes it; 16 values per tensor by default.

    Returns
    -------
    Report
        What became of each tensor, and of the whole.

    Raises
    ------
    FormatError
        If ``src`` is not a checkpoint that can be read, or the importance does not fit it.
    NonFiniteError
        If a tensor has NaN or infinite values; the message names it.
    ValueError
        If an argument is out of range, or the budget cannot be met.
    FileExistsError
        If ``dst`` exists and ``force`` is not set.
    """
    started = time.perf_counter()
    job = _opened(src, importance, skip_nonfinite, n_jobs, settings)
    target = Path(dst)
    check_output(job.source.path, target, force)
    with output(job.source.path, target, job.source.companions) as file:
        _written(job, file, progress)
        report = Compressed(file).report()
    return replace(report, seconds=time.perf_counter() - started)
