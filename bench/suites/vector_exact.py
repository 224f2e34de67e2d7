"""``vector-exact``: the exact problem, differentiated, against general differentiable solvers."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any, final

from bench.suites._vector import VectorSuite, chosen, effort
from bench.vector.method import Penalty
from bench.vector.objective import certify, reference_gradients, relative_distance
from bench.vector.oracle import minimisers
from bench.vector.problem import VectorProblem
from bench.vector.process import Measurement, measure
from bench.vector.tables import Goal, milliseconds, number, per_row, ratio, silent, small, table

SHAPES = ((64, 16, 32), (64, 16, 64), (64, 16, 128), (4096, 64, 512))
QUICK_SHAPES = ((64, 16, 32), (256, 64, 512))
SMALLEST = (8, 4, 8)
JUDGED, JUDGED_LARGE, LARGE = 16, 4, 512
TOLERANCE = 1e-3  # of the yardstick: gap over objective
GOALS = {(16, 64): 30.0, (64, 512): 1000.0}
HEADER = (
    "solver|rows|fwd+bwd ms|median|per row ms|/ours|extra MB"
    "|excess max|infeasible|grad z off|grad C off"
)


def judge(
    problem: VectorProblem, rows: int, results: dict[str, Measurement], penalty: Penalty
) -> dict[str, dict[str, float]]:
    """Excess over the minimum and distance from the gradients of the optimality conditions."""
    data = problem.load().first(rows)
    weights = minimisers(data, penalty)
    best = certify(data.z, data.codebook, weights, penalty).objective
    right = reference_gradients(data.z, data.codebook, weights, data.cotangent, penalty)
    marks = {}
    for name, result in results.items():
        if result.status != "ok":
            continue
        found = certify(data.z, data.codebook, result.arrays["weights"], penalty)
        marks[name] = {
            "excess": float(((found.objective - best) / best).max()),
            "infeasible": float(found.infeasible.max()),
            "grad_z": relative_distance(result.arrays["grad_z"], right.z),
            "grad_codebook": relative_distance(result.arrays["grad_codebook"], right.codebook),
        }
    return marks


@final
class VectorExact(VectorSuite):
    """Every solver on every size."""

    summary = "exact soft convex quantization against cvxpylayers and qpth"
    example = "vector-exact --peer-python ~/.venvs/peers/bin/python --json exact.json"
    repeats = 3
    notes = """\
fwd+bwd      weights, values, and gradients in latents and codebook; CPU ms, best and median of runs
             that take turns; alpha = 0.1
/ours        per row, divided by that of solvq at tol = 1e-3 on all rows
few          on as few rows as the peers are given at K >= 256: less to share costs among
extra MB     highest resident memory during the call minus before it
excess max   objective over the minimum minus 1, worst row; the minimum by clarabel and a last solve
             on its support, gap below 1e-9 of the objective; first 16 rows (4 at K = 512)
infeasible   largest violation of p >= 0 and sum p = 1; an excess can be negative because of it
grad off     |g - g*| / |g*|, g* by the optimality conditions at that minimum, float64
Compilation of a layer by cvxpylayers is not timed. Peers compute in float64, their default or their
advice; solvq in float32 unless the name says else. tight: mode="dense", eps 1e-8."""

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add where the peers are."""
        super().add_arguments(command)
        command.add_argument(
            "--peer-python",
            default=sys.executable,
            metavar="PATH",
            help="interpreter that has the peers, if not this one",
        )

    def _packages(self) -> list[str]:
        return ["solvq", "torch", "cvxpy", "clarabel", "cvxpylayers", "diffcp", "qpth"]

    def _study(self, options: argparse.Namespace) -> tuple[list[dict[str, Any]], int]:
        from bench.vector.solvers import YARDSTICK, solvers  # noqa: PLC0415

        every = solvers()
        names = chosen(options.methods, every, YARDSTICK)
        penalty = every[YARDSTICK].penalty()
        if penalty is None:
            raise RuntimeError("the yardstick solves no problem")
        methods = {name: every[name] for name in names}
        entries, code = [], 0
        for problem in problems(options):
            rows = min(problem.rows, JUDGED_LARGE if problem.n_codes >= LARGE else JUDGED)
            results = measure("solvers", methods, problem, effort(options), rows)
            marks = judge(problem, rows, results, penalty)
            stated = goals(problem, results, YARDSTICK)
            print(text(problem, results, marks, YARDSTICK), end="\n\n", flush=True)
            print("\n".join(goal.line() for goal in stated), end="\n\n", flush=True)
            failed = {
                n for n in names if methods[n].package == "solvq" and results[n].status == "failed"
            }
            wrong = YARDSTICK in marks and marks[YARDSTICK]["excess"] > 2 * TOLERANCE
            code |= int(bool(failed) or wrong)
            entries.append(entry(problem, results, marks, stated))
        return entries, code


def problems(options: argparse.Namespace) -> list[VectorProblem]:
    """The sizes; fewer for a first look."""
    shapes = [*(QUICK_SHAPES if options.quick else SHAPES), SMALLEST]
    picked = [p for s in shapes if options.only in (p := VectorProblem(*s, options.seed)).name]
    if not options.only:
        picked = picked[:-1]  # the smallest one is for tests: ask for it by name
    if not picked:
        raise SystemExit(f"--only {options.only!r} leaves no problem")
    return picked


def goals(problem: VectorProblem, results: dict[str, Measurement], ours: str) -> list[Goal]:
    """How many times the default of cvxpylayers takes, per row."""
    limit = GOALS.get((problem.dim, problem.n_codes))
    if limit is None or "cvxpylayers" not in results:
        return []
    value = ratio(results["cvxpylayers"], results[ours], "training")
    return [Goal("cvxpylayers / solvq 1e-3, per row", value, limit, least=True)]


def text(
    problem: VectorProblem,
    results: dict[str, Measurement],
    marks: dict[str, dict[str, float]],
    ours: str,
) -> str:
    """The table of one size."""
    rows = []
    for name, result in results.items():
        if result.status != "ok":
            continue
        rows.append(
            [
                name,
                str(result.rows),
                *milliseconds(result.training),
                number(1e3 * per_row(result, "training")),
                number(ratio(result, results[ours], "training")),
                number(result.training.extra / 1e6),
                *(small(value) for value in marks[name].values()),
            ]
        )
    lines = [problem.name]
    if rows:
        lines.append(table(HEADER, rows))
    return "\n".join([*lines, *silent(results)])


def entry(
    problem: VectorProblem,
    results: dict[str, Measurement],
    marks: dict[str, dict[str, float]],
    stated: list[Goal],
) -> dict[str, Any]:
    """Everything about one size, for the JSON file."""
    methods = {}
    for name, result in results.items():
        raw = {key: value for key, value in asdict(result).items() if key != "arrays"}
        methods[name] = raw | marks.get(name, {})
    judged = [{**goal._asdict(), "met": goal.met} for goal in stated]
    return {"problem": asdict(problem), "methods": methods, "goals": judged}


SUITE = VectorExact()
