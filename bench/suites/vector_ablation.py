"""``vector-ablation``: what the relaxation loses against the exact problem, and what each costs."""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

from bench.environment import environment
from bench.suites._vector import VectorSuite
from bench.vector.problem import Data, VectorProblem, image_patches
from bench.vector.process import progress
from bench.vector.tables import number, small, table

if TYPE_CHECKING:
    from bench.vector.ablation import Point

DIMS, CODES, ALPHAS = (16, 64, 256), (32, 128, 512, 2048), (1e-3, 1e-2, 0.1, 1.0, 10.0)
QUICK_DIMS, QUICK_CODES = (16, 64), (32, 512)
ROWS, QUICK_ROWS = 256, 64
ROUNDING = 2e-6  # relative excess of an objective that float32 may leave


class Case(NamedTuple):
    """A size, or real data, at all penalties."""

    name: str
    dim: int
    n_codes: int


@final
class VectorAblation(VectorSuite):
    """Methods cut off after more or fewer iterations, at every size and penalty."""

    summary = "error and time of nearest, relaxed and exact codes by iterations"
    example = "vector-ablation --json ablation.json --figure ablation.svg"
    repeats = 3
    notes = """\
alpha        relative penalty, a = alpha tr(C C^T) / F
error        sum |z - z_q|^2 / sum |z|^2
excess       mean objective over the least that a method reached for each latent, minus 1, in
             percent; 0 below 2e-4; - where weights leave the simplex by more than rounding, 1e-5
us           CPU microseconds a latent, best of runs that take turns, forward only
max gap      largest Frank-Wolfe gap over objective of exact 50, over latents and penalties
gradient n   n accelerated projected gradient steps with restarts from the nearest codeword
exact n      solvq.vector.solve with max_iter=n, tol=1e-6: column generation, at most n rounds
alternating  the relaxation as printed, with n steps in place of the projection
Errors and objectives by bench/vector/objective.py in float64 from the weights handed back."""

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add the figure and the real data."""
        super().add_arguments(command)
        add = command.add_argument
        add("--figure", type=Path, metavar="FILE", help="draw error against time (.svg, .png)")
        add("--figure-alpha", type=float, default=0.1, metavar="A", help="penalty drawn (0.1)")
        add("--rows", type=int, metavar="N", help=f"latents a problem (default {ROWS})")
        add(
            "--data-dir",
            type=Path,
            metavar="DIR",
            help="also 4x4 colour patches of DIR/cifar10_lossless4k.npz, k-means with K=256",
        )

    def _packages(self) -> list[str]:
        return ["solvq", "torch", "matplotlib"]

    def _study(self, options: argparse.Namespace) -> tuple[list[dict[str, Any]], int]:
        import torch  # noqa: PLC0415

        from bench.vector.ablation import compare, methods  # noqa: PLC0415

        torch.set_num_threads(options.threads)
        names = chosen(options.methods, list(methods()))
        entries: list[dict[str, Any]] = []
        code = 0
        for case in cases(options):
            data = load(case, options)
            found: dict[float, dict[str, Point]] = {}
            for alpha in ALPHAS:
                found[alpha] = compare(data, alpha, names, options.repeats)
                progress(f"{case.name} alpha={alpha:g}")
                entries.append(entry(case, alpha, found[alpha]))
            print(text(case, names, found), end="\n\n", flush=True)
            code |= int(any(broken(points) for points in found.values()))
        if options.figure is not None:
            from bench.vector.ablation_figure import save  # noqa: PLC0415

            facts = environment([], options.seed, options.threads)
            drawn = [one for one in entries if one["dim"] in DIMS] or entries
            save(drawn, options.figure_alpha, facts, options.figure)
        return entries, code


def chosen(wanted: str | None, names: list[str]) -> list[str]:
    """Return the methods to run."""
    if wanted is None:
        return names
    picked = [name.strip() for name in wanted.split(",")]
    if unknown := sorted(set(picked) - set(names)):
        raise SystemExit(f"unknown methods {unknown}; choose from {', '.join(names)}")
    return [name for name in names if name in picked]


def cases(options: argparse.Namespace) -> list[Case]:
    """The sizes, and the real data if they are given."""
    sizes = product(QUICK_DIMS, QUICK_CODES) if options.quick else product(DIMS, CODES)
    found = [Case(f"F={dim} K={n_codes}", dim, n_codes) for dim, n_codes in sizes]
    if options.data_dir is not None:
        found.append(Case("patches F=48 K=256", 48, 256))
    picked = [case for case in found if options.only in case.name]
    if not picked:
        raise SystemExit(f"--only {options.only!r} leaves no problem")
    return picked


def load(case: Case, options: argparse.Namespace) -> Data:
    """Make or read the data of a case."""
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    if case.name.startswith("patches"):
        return image_patches(options.data_dir, rows, options.seed)
    return VectorProblem(rows, case.dim, case.n_codes, options.seed).load()


def broken(points: dict[str, Point]) -> bool:
    """Tell whether the exact solver missed its promise: a feasible method went clearly below."""
    last = points.get("exact 50")
    return last is not None and (last.excess > 1e-4 or not last.lawful)


def text(case: Case, names: list[str], found: dict[float, dict[str, Point]]) -> str:
    """The table of one size: three columns a penalty."""
    header = "method" + "".join(f"|alpha {alpha:g}: error|excess %|us" for alpha in found)
    rows = []
    for name in names:
        row = [name]
        for points in found.values():
            point = points[name]
            row += [number(point.error), percent(point), number(1e6 * min(point.seconds))]
        rows.append(row)
    lines = [case.name, table(header, rows)]
    if "exact 50" in names:
        lines.append(f"max gap {small(max(points['exact 50'].gap for points in found.values()))}")
    if case.name.startswith("patches") and "nearest" in names:
        mse = next(iter(found.values()))["nearest"].mse
        lines.append(f"mean square an entry of nearest: {mse:.5f}; others in proportion to error")
    return "\n".join(lines)


def percent(point: Point) -> str:
    """Excess of the objective; 0 where it is no more than the rounding of float32."""
    if not point.lawful:
        return "-"
    return "0" if point.excess < ROUNDING else number(100 * point.excess, 2)


def entry(case: Case, alpha: float, points: dict[str, Point]) -> dict[str, Any]:
    """Everything about one size and penalty, for the JSON file and the figure."""
    return {
        "title": case.name,
        "dim": case.dim,
        "n_codes": case.n_codes,
        "alpha": alpha,
        "methods": {n: point._asdict() | {"lawful": point.lawful} for n, point in points.items()},
    }


SUITE = VectorAblation()
