"""``scalar-stream``: more data than memory, fed to a histogram in two passes."""

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.environment import environment
from bench.suites._base import Suite
from bench.timing import memory, reset_peak, use_processors
from solvq.scalar import Bracket, Histogram

CHUNK = 1 << 20
WANTED_GAP = 1e-6
ALLOWED_BYTES = 1e9


def chunks(size: int, seed: int, offset: float) -> Iterator[NDArray[np.float32]]:
    """Yield normal float32 values, the same for the same arguments, some at a time."""
    rng = np.random.default_rng(seed)
    for start in range(0, size, CHUNK):
        values = rng.standard_normal(min(CHUNK, size - start), dtype=np.float32)
        yield values + np.float32(offset) if offset else values


def feed(histogram: Histogram, source: Iterator[NDArray[np.float32]]) -> float:
    """Feed all chunks; returns the CPU seconds that the histogram took."""
    seconds = 0.0
    for chunk in source:
        start = time.process_time()
        histogram.update(chunk)
        seconds += time.process_time() - start
    return seconds


def timed_solve(histogram: Histogram, n_values: int) -> tuple[Bracket, float]:
    """Solve, and the CPU seconds it took."""
    start = time.process_time()
    return histogram.solve(n_values), time.process_time() - start


class ScalarStream(Suite):
    """Two passes over values that are never in memory together."""

    summary = "solvq.scalar.Histogram: values streamed from a generator, two passes"

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add the suite's own options."""
        command.add_argument("--n", type=float, default=1e8, help="values (default: 1e8)")
        command.add_argument("--n-values", type=int, default=16, metavar="K")
        command.add_argument("--offset", type=float, default=0.0, help="added to every value")
        command.add_argument("--seed", type=int, default=0)

    def run(self, options: argparse.Namespace) -> int:
        """Print time, memory and gap of both passes; 1 if memory or gap miss what is promised."""
        use_processors(1)
        warm = Histogram()
        feed(warm, chunks(CHUNK, 1, options.offset))
        timed_solve(warm, options.n_values)
        size, k = int(options.n), options.n_values
        reset_peak()
        before = memory("VmRSS")
        histogram, gaps = Histogram(), []
        print("pass  ns/value  bins     solve s  distortion      lower bound     gap")
        for turn in (1, 2):
            seconds = feed(histogram, chunks(size, options.seed, options.offset))
            found, solved = timed_solve(histogram, k)
            gaps.append(found.gap)
            figures: tuple[Any, ...] = (found.distortion, found.lower_bound, found.gap)
            row = f"{turn:<6}{1e9 * seconds / size:<10.1f}{histogram.n_bins:<9}{solved:<9.2f}"
            print(row + "{:<16.9g}{:<16.9g}{:.1e}".format(*figures), flush=True)
            if turn == 1:
                histogram = histogram.refine(k)
        extra = memory("VmHWM") - before
        print(f"{size} values, {k} shared; peak memory {memory('VmHWM') / 1e6:.0f} MB,")
        print(f"{extra / 1e6:.0f} MB of it above what Python, NumPy and the compiled kernels take")
        print(environment(("numpy", "numba"), options.seed, 1))
        return int(gaps[-1] > WANTED_GAP or memory("VmHWM") > ALLOWED_BYTES)


SUITE = ScalarStream()
