"""``scalar-curve``: the optimum at every count, against one count and against peers called anew."""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np

from bench.datasets import DATASETS
from bench.environment import environment, environment_text
from bench.methods import METHODS
from bench.problem import Array
from bench.suites._base import Suite
from bench.timing import use_processors
from solvq.scalar import quantize, rate_distortion

SIZE, QUICK_SIZE = 1_000_000, 100_000
LAST = 256
PEER_SIZE, PEER_LAST = 10_000, 64
PEERS = ("ckwrap", "kmeans1d")
TOLERANCE = 1e-6
GOALS = {"exact": 100.0, "tol": 5.0}
Row = dict[str, Any]
NOTES = """\
CPU s    least of the runs, which take turns with those of one count, all in this process
/ one    divided by the least CPU time of solvq.quantize at the largest count, labels included
gap      largest distortion over proven lower bound, minus 1, of all counts
excess   largest distortion of the peer's codebooks over ours, minus 1, computed here from the data
The peers have no call for all counts: they are called once for each, on fewer values and counts,
since their work and memory grow with n k; ours is run on the same."""


def cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call, and what it returns."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def curve_rows(x: Array, dataset: str, repeats: int) -> list[Row]:
    """Times of one count, of the exact curve and of the one to a tolerance, taken in turns."""
    calls: dict[str, Callable[[], Any]] = {
        "one": lambda: quantize(x, LAST),
        "exact": lambda: rate_distortion(x, range(1, LAST + 1)),
        "tol": lambda: rate_distortion(x, range(1, LAST + 1), tol=TOLERANCE),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    gaps = {}
    for _ in range(repeats):
        for name, call in calls.items():
            spent, result = cpu(call)
            times[name].append(spent)
            if name != "one":
                gaps[name] = float(result.gap.max())
    one = min(times["one"])
    return [
        {
            "problem": f"{dataset}/{x.size}/1..{LAST}",
            "curve": name,
            "cpu": min(times[name]),
            "one": one,
            "ratio": min(times[name]) / one,
            "goal": GOALS[name],
            "gap": gaps[name],
        }
        for name in gaps
    ]


def mean_error(x: Array, codebook: Array) -> float:
    """Mean squared error of nearest assignment, from the data."""
    table = np.sort(codebook.astype(np.float64))
    edges = table[:-1] + 0.5 * np.diff(table)
    values = x.astype(np.float64)
    return float(np.mean((values - table[np.searchsorted(edges, values)]) ** 2))


def peer_rows(dataset: str, seed: int) -> list[Row]:
    """Times of the whole curve on few values, by a loop over the counts for each peer."""
    x = DATASETS[dataset]((PEER_SIZE,), np.random.default_rng(seed))
    counts = range(1, PEER_LAST + 1)
    rate_distortion(x, counts)
    spent, curve = cpu(lambda: rate_distortion(x, counts))
    name = f"{dataset}/{PEER_SIZE}/1..{PEER_LAST}"
    rows: list[Row] = [{"problem": name, "method": "solvq", "cpu": spent, "ours": 1.0}]
    ours = [mean_error(x, book) for book in curve.codebooks]
    for peer in PEERS:
        method = METHODS[peer]
        if importlib.util.find_spec(method.module) is None:
            continue
        method.run(x, 2, None)
        taken, fits = cpu(lambda method=method: [method.run(x, k, None) for k in counts])
        losses = [mean_error(x, fit.codebook) for fit in fits]
        excess = max(a / b - 1.0 for a, b in zip(losses, ours, strict=True))
        rows.append({"problem": name, "method": peer, "cpu": taken, "excess": excess})
        rows[-1]["ours"] = taken / spent
    return rows


def text(row: Row) -> str:
    """One line of a table."""
    if "curve" in row:
        met = "met" if row["ratio"] <= row["goal"] else "missed"
        return (
            f"{row['problem']:24} {row['curve']:8} {row['cpu']:8.3f} s   {row['ratio']:7.1f} / one"
            f"   goal {row['goal']:g}: {met}   gap {row['gap']:.1e}"
        )
    excess = f"   excess {row['excess']:.1e}" if "excess" in row else ""
    return (
        f"{row['problem']:24} {row['method']:8} {row['cpu']:8.3f} s   "
        f"{row['ours']:7.1f} / ours{excess}"
    )


@final
class ScalarCurve(Suite):
    """The curve of every count, exact and to a tolerance."""

    summary = f"all counts up to {LAST} in one call, against one count and peers called for each"

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add what to run, and how often."""
        add = command.add_argument
        add("--quick", action="store_true", help="fewer values and one data set")
        add("--repeats", type=int, default=3, metavar="N", help="runs (default 3)")
        add("--seed", type=int, default=0, metavar="N", help="of the data (default 0)")
        add("--json", type=Path, metavar="FILE", help="also write everything to FILE")

    def run(self, options: argparse.Namespace) -> int:
        """Print both tables; 1 if a gap is larger than promised."""
        use_processors(1)
        facts = environment([METHODS[peer].package for peer in PEERS], options.seed, 1)
        print(f"{options.suite}: {self.summary}\n\n{environment_text(facts)}\n", flush=True)
        size = QUICK_SIZE if options.quick else SIZE
        rows: list[Row] = []
        for dataset in ("normal",) if options.quick else ("normal", "student"):
            x = DATASETS[dataset]((size,), np.random.default_rng(options.seed))
            rate_distortion(x[:50_000], [2, 3])  # kernels are loaded before the clock starts
            quantize(x, LAST)
            for row in curve_rows(x, dataset, options.repeats):
                rows.append(row)
                print(text(row), flush=True)
        for row in peer_rows("normal", options.seed):
            rows.append(row)
            print(text(row), flush=True)
        print(f"\n{NOTES}")
        if options.json is not None:
            options.json.write_text(
                json.dumps({"environment": facts, "rows": rows}, indent=1) + "\n"
            )
        allowed = {"exact": 1e-9, "tol": TOLERANCE}
        return int(any(row["gap"] > allowed[row["curve"]] for row in rows if "curve" in row))


SUITE = ScalarCurve()
