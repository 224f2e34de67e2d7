"""``scalar-blocks``: a table of 8 E4M3 entries for every block of 8 x 64 weights (LUT-B)."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from bench.entropy.sources import TENSOR, minilm
from bench.environment import environment, environment_text
from bench.lloyd_blocks import e4m3, lloyd_counting, lloyd_sorting
from bench.report import number
from bench.suites._base import Suite
from bench.timing import use_processors
from solvq.scalar import quantize_blocks

BLOCK, N_VALUES = (8, 64), 8
NOTES = """\
error     squared error over squared weights, computed here from tables and indices
us/block  CPU time for tables and indices of a block of 512 weights, best of the rounds; the methods
          take turns, one thread, compiled by numba, first calls not timed
/ ours    divided by that of "solvq e4m3"
lloyd     the fit of compressed-tensors (pull request 801): 8 steps, or 16
sorting   the same by a sort and prefix sums, which is the fastest form of it that we know
proved    with a proven lower bound of free entries for every block; bound is their mean"""

Answer = tuple[NDArray[Any], NDArray[Any], float]


class _Method(NamedTuple):
    """A name, and a call that gives decoded blocks, tables and a bound on the mean error."""

    name: str
    run: Callable[[], Answer]


def cut(weights: NDArray[Any]) -> NDArray[Any]:
    """Blocks as rows."""
    rows, columns = (side // b for side, b in zip(weights.shape, BLOCK, strict=True))
    parts = weights.reshape(rows, BLOCK[0], columns, BLOCK[1]).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(parts).reshape(rows * columns, -1)


def ours(name: str, weights: NDArray[Any], certify: bool = False, **parameters: Any) -> _Method:
    """`quantize_blocks` on one thread."""

    def run() -> Answer:
        found = quantize_blocks(weights, BLOCK, N_VALUES, n_jobs=1, certify=certify, **parameters)
        tables = found.codebooks.reshape(-1, N_VALUES)
        return tables, cut(found.indices), float(found.lower_bound.mean())

    return _Method(name, run)


def lloyd(name: str, weights: NDArray[Any], fit: Callable[..., None], steps: int) -> _Method:
    """A compiled fit of Lloyd's, the cut into blocks included."""
    grid = e4m3()

    def run() -> Answer:
        x = cut(weights)
        tables, indices = np.empty((x.shape[0], N_VALUES)), np.empty(x.shape, np.uint8)
        fit(x, grid, steps, tables, indices)
        return tables, indices, 0.0

    return _Method(name, run)


def methods(weights: NDArray[Any]) -> list[_Method]:
    """Everything compared, ours first."""
    table = {"method": "restricted", "values": "e4m3"}
    return [
        ours("solvq e4m3", weights, **table),
        ours("solvq e4m3, with zero", weights, keep_zero=True, **table),
        ours("solvq e4m3, proved", weights, certify=True, **table),
        ours("solvq free entries", weights),
        lloyd("lloyd 8", weights, lloyd_counting, 8),
        lloyd("lloyd 8, sorting", weights, lloyd_sorting, 8),
        lloyd("lloyd 16", weights, lloyd_counting, 16),
    ]


def load(options: argparse.Namespace) -> tuple[str, NDArray[Any]]:
    """Name and weights: those of a file, of MiniLM where its package is installed, or normal."""
    weights = None
    if options.model is not None and not options.quick:
        from safetensors.numpy import load_file  # noqa: PLC0415

        weights = load_file(options.model)[options.tensor]
    elif not options.quick:
        weights = minilm(options.tensor)
    if weights is None:
        shape = (64, 256) if options.quick else (1536, 384)
        normal = np.random.default_rng(options.seed).normal(0, 0.06, shape)
        return f"normal {shape}", normal.astype(np.float32)
    weights = weights.astype(np.float32)
    rows, columns = (side // b * b for side, b in zip(weights.shape, BLOCK, strict=True))
    return f"{options.tensor} {weights.shape}", np.ascontiguousarray(weights[:rows, :columns])


@final
class ScalarBlocks(Suite):
    """Error and CPU time of tables for blocks, all in this process."""

    summary = "tables of 8 E4M3 entries for blocks of 8 x 64 weights, against compiled Lloyd fits"

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add which weights, and how often."""
        add = command.add_argument
        add("--model", type=Path, metavar="FILE", help="safetensors file; MiniLM if installed")
        add("--tensor", default=TENSOR, help="matrix in the file (default: %(default)s)")
        add("--repeats", type=int, default=7, metavar="N", help="rounds (default: %(default)s)")
        add("--seed", type=int, default=0, help="of normal weights, where there is no file")
        add("--quick", action="store_true", help="few normal weights, for a first look")
        add("--json", type=Path, metavar="FILE", help="write everything measured there")

    def run(self, options: argparse.Namespace) -> int:
        """Run all methods; 1 if one with the same entries had less error than ours."""
        use_processors(1)
        facts = environment(["solvq"], options.seed, 1)
        print(f"{options.suite}: {self.summary}\n\n{environment_text(facts)}\n", flush=True)
        name, weights = load(options)
        rows = measured(weights, options.repeats)
        print(f"{name}\n{text(rows)}\n\n{NOTES}")
        if options.json is not None:
            options.json.write_text(
                json.dumps({"environment": facts, "weights": name, "methods": rows}, indent=1)
                + "\n"
            )
        best = min(row["error"] for row in rows if "free" not in row["method"])
        return int(rows[0]["error"] > best * (1.0 + 1e-9))


def measured(weights: NDArray[Any], repeats: int) -> list[dict[str, Any]]:
    """Error, bound and times of each method; they take turns."""
    x = cut(weights)
    energy = float(np.square(x, dtype=np.float64).sum())
    rows = []
    entries = methods(weights)
    for method in entries:
        tables, indices, bound = method.run()
        decoded = np.take_along_axis(tables.astype(np.float64), indices.astype(np.intp), axis=1)
        error = float(np.square(x - decoded).sum()) / energy
        rows.append({"method": method.name, "error": error, "cpu": []})
        rows[-1]["bound"] = bound * x.size / energy
    for _ in range(repeats):
        for method, row in zip(entries, rows, strict=True):
            start = time.process_time()
            method.run()
            row["cpu"].append((time.process_time() - start) / x.shape[0])
    return rows


def text(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [f"{'method':24}{'error':>10}{'bound':>10}{'us/block':>10}{'/ ours':>8}"]
    for row in rows:
        bound = f"{row['bound']:.5f}" if row["bound"] else "-"
        cpu = min(row["cpu"])
        ratio = number(cpu / min(rows[0]["cpu"]))
        lines.append(
            f"{row['method']:24}{row['error']:10.5f}{bound:>10}{number(1e6 * cpu):>10}{ratio:>8}"
        )
    return "\n".join(lines)


SUITE = ScalarBlocks()
