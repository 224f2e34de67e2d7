"""Runs fits with a time limit, each in a process of its own, so that peak memory is its own."""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import threadpoolctl

import solvq
from bench.paper_scalar.study import Array, Entry, Study
from bench.timing import memory, reset_peak
from solvq.scalar import METHODS

ENOUGH_SECONDS = 0.05
"""Shorter fits are repeated until they add up to this, and the fastest counts; those below twenty
times this at least twice, since the first may load a kernel."""


@dataclass
class Fit:
    """What a method did to some arrays: codebook, indices and CPU seconds of each."""

    status: str
    codebooks: list[Array] = field(default_factory=list)
    indices: list[Array] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    extra_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is an answer to judge."""
        return self.status == "ok"


@functools.cache
def warm_up() -> None:
    """Load every compiled kernel once, so that no forked process does it on the clock.

    One thread from here on: a process forked from one with OpenMP threads would wait for them.
    """
    threadpoolctl.threadpool_limits(1)
    x = np.random.default_rng(0).standard_normal(20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in METHODS:
            for data in (x, x.astype(np.float32), (x * 10).astype(np.int16)):
                solvq.quantize(data, 4, name, sample_weight=np.abs(data) + 1)
                solvq.quantize(data, 4, name)


def one(x: Array, weights: Array | None, n_values: int, entry: Entry, seed: int) -> Any:
    """Fit one array; the code, CPU seconds of the fastest run, and extra memory of the first."""
    parameters, seconds, extra = entry.with_seed(seed), [], 0
    while len(seconds) < 3 and sum(seconds) < ENOUGH_SECONDS * (1 if seconds[1:] else 20):
        before = reset_peak() or memory("VmRSS")
        start = time.process_time()
        code = solvq.quantize(x, n_values, entry.method, sample_weight=weights, **parameters)
        seconds.append(time.process_time() - start)
        extra = max(extra, memory("VmHWM") - before)
    return code, min(seconds), extra


def work(pipe: Connection, tensors: Sequence[tuple[Array, Array | None]], *task: Any) -> None:
    """Fit all arrays and send the answers; the body of the forked process."""
    gc.disable()  # a collection would copy every page that is shared with the parent
    fit = Fit("ok")
    warnings.simplefilter("ignore")  # of non-convergence: the answer is judged as it is
    try:
        for x, weights in tensors:
            code, seconds, extra = one(x, weights, *task)
            fit.codebooks.append(code.codebook)
            fit.indices.append(code.indices)
            fit.seconds.append(seconds)
            fit.extra_bytes = max(fit.extra_bytes, extra)
    except Exception as error:
        fit = Fit(f"failed: {error}")
    pipe.send(fit)
    pipe.close()
    os._exit(0)  # nothing to tidy up


def fit_all(
    study: Study,
    tensors: Sequence[tuple[Array, Array | None]],
    n_values: int,
    entry: Entry,
    seed: int | None = None,
    time_limit: float | None = None,
) -> Fit:
    """Fit one codebook to each array, or say that it took too long."""
    warm_up()
    limit = study.time_limit if time_limit is None else time_limit
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    task = (sender, tensors, n_values, entry, study.seed if seed is None else seed)
    process = context.Process(target=work, args=task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads idle during the fork
        process.start()
    sender.close()
    try:
        fit = receiver.recv() if receiver.poll(limit) else Fit("timeout")
    except EOFError:
        fit = Fit("failed: the process ended without an answer")
    if not fit.ok:
        process.kill()
    process.join()
    receiver.close()
    return fit


class TooSlow:
    """Remembers which methods ran out of time, so that larger problems are not tried."""

    def __init__(self) -> None:
        self._least: dict[tuple[str, ...], int] = {}

    def skips(self, *key: str, size: int) -> bool:
        """Tell whether a smaller or equal size of the same kind has timed out."""
        return key in self._least and size >= self._least[key]

    def add(self, *key: str, size: int) -> None:
        """Remember a timeout."""
        self._least[key] = min(size, self._least.get(key, size))
