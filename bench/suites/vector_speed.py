"""``vector-speed``: time, memory and error of vector quantizers, one step of each at a time."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any, final

import numpy as np

from bench.suites._vector import VectorSuite, chosen, effort
from bench.vector.method import Method, Penalty
from bench.vector.objective import certify, quantization_error
from bench.vector.problem import Data, VectorProblem
from bench.vector.process import Measurement, measure
from bench.vector.tables import Goal, milliseconds, number, ratio, silent, small, table

SHAPES = ((16384, 64, 512), (4096, 256, 1024), (1024, 64, 8192))
QUICK = 8  # times fewer latents
SMALLEST = (64, 8, 16)
TOLERANCE = 1e-3  # of the exact layers: gap over objective
MEMORY_CODES, MEMORY_MB = 8192, 60.0
HEADER = (
    "layer|forward ms|median|fwd+bwd ms|median|fwd /VQ|fwd+bwd /VQ|extra MB|error|gap/obj|max inf"
)


def scores(data: Data, result: Measurement, penalty: Penalty | None) -> dict[str, float | None]:
    """What the objective says of an answer."""
    found: dict[str, float | None] = {"error": None, "gap": None, "infeasible": None}
    if "values" in result.arrays:
        found["error"] = quantization_error(data.z, result.arrays["values"])
    if penalty is not None and "weights" in result.arrays:
        proof = certify(data.z, data.codebook, result.arrays["weights"], penalty)
        found["gap"] = float((proof.gap / proof.objective).max())
        found["infeasible"] = float(proof.infeasible.max())
    return found


def goals(
    problem: VectorProblem, results: dict[str, Measurement], exact: list[str], relaxed: list[str]
) -> list[Goal]:
    """The goals of this shape; times are those of a training step."""
    rival = results["VectorQuantize"]
    stated: list[Goal] = []
    limits = [("nearest", 0.2), ("nearest-ema", 0.2)]
    limits += [(name, 1.0) for name in relaxed] + [(name, 6.0) for name in exact]
    for name, limit in limits:
        if name in results:
            value = ratio(results[name], rival, "training")
            stated.append(Goal(f"{name} / VectorQuantize", value, limit))
    if problem.n_codes == MEMORY_CODES:
        for name in ("nearest", "nearest-ema"):
            result = results.get(name)
            if result is not None and result.status == "ok":
                stated.append(Goal(f"{name} extra MB", result.training.extra / 1e6, MEMORY_MB))
    return stated


@final
class VectorSpeed(VectorSuite):
    """Every layer on every shape."""

    summary = "time, memory and error of vector quantizers at three shapes"
    example = "vector-speed --only K=8192 --repeats 3 --json speed.json"
    notes = """\
forward      eval(), without gradient; fwd+bwd: training, values and loss backward; CPU ms, best and
             median of runs that take turns, each layer in a process of its own
/VQ          best divided by best of VectorQuantize with its defaults (EMA, rotation trick)
extra MB     highest resident memory during a training step minus before it
error        |z - z_q|^2 / |z|^2 in eval(), by bench/vector/objective.py, as are the next two
gap/obj      exact layers: largest Frank-Wolfe gap over objective of any row, in float64
max inf      largest violation of p >= 0 and sum p = 1
Residual quantizers have four codebooks, the one of the others halved at each level. FSQ learns its
grid's maps: theirs starts at random, ours (finite-scalar) from the data."""

    def _packages(self) -> list[str]:
        return ["solvq", "torch", "vector-quantize-pytorch"]

    def _study(self, options: argparse.Namespace) -> tuple[list[dict[str, Any]], int]:
        from bench.vector.layers import YARDSTICK, layers  # noqa: PLC0415

        every = layers()
        names = chosen(options.methods, every, YARDSTICK)
        claims = {name: every[name].penalty() for name in names}
        methods = {name: every[name] for name in names}
        entries, code = [], 0
        for problem in problems(options):
            results = measure("layers", methods, problem, effort(options))
            data = problem.load()
            marks = {name: scores(data, results[name], claims[name]) for name in names}
            print(text(problem, results, marks), end="\n\n", flush=True)
            exact = [name for name, claim in claims.items() if claim is not None]
            relaxed = [name for name in names if "relaxed" in name]
            stated = goals(problem, results, exact, relaxed)
            print("\n".join(goal.line() for goal in stated), end="\n\n", flush=True)
            code |= broken(results, methods, marks)
            entries.append(entry(problem, results, marks, stated))
        return entries, code


def problems(options: argparse.Namespace) -> list[VectorProblem]:
    """The shapes; fewer latents for a first look."""
    shapes = [
        (rows // QUICK if options.quick else rows, dim, n_codes) for rows, dim, n_codes in SHAPES
    ]
    found = [VectorProblem(*shape, options.seed) for shape in [*shapes, SMALLEST]]
    picked = [problem for problem in found if options.only in problem.name]
    if not options.only:
        picked = picked[:-1]  # the smallest one is for tests: ask for it by name
    if not picked:
        raise SystemExit(f"--only {options.only!r} leaves no problem")
    return picked


def text(
    problem: VectorProblem,
    results: dict[str, Measurement],
    marks: dict[str, dict[str, float | None]],
) -> str:
    """The table of one shape."""
    rows = []
    for name, result in results.items():
        if result.status != "ok":
            continue
        rival = results["VectorQuantize"]
        mark = marks[name]
        error = mark["error"]
        rows.append(
            [
                name,
                *milliseconds(result.forward),
                *milliseconds(result.training),
                number(ratio(result, rival, "forward")),
                number(ratio(result, rival, "training")),
                number(result.training.extra / 1e6),
                "-" if error is None else f"{error:.4f}",
                small(mark["gap"]),
                small(mark["infeasible"]),
            ]
        )
    lines = [problem.name]
    if rows:
        lines.append(table(HEADER, rows))
    return "\n".join([*lines, *silent(results)])


def broken(
    results: dict[str, Measurement],
    methods: dict[str, Method],
    marks: dict[str, dict[str, float | None]],
) -> int:
    """1 if a layer of solvq failed, or an exact one missed its tolerance."""
    failed = any(r.status == "failed" and methods[n].package == "solvq" for n, r in results.items())
    gaps = [mark["gap"] for mark in marks.values() if mark["gap"] is not None]
    return int(failed or (bool(gaps) and float(np.max(gaps)) > 2 * TOLERANCE))


def entry(
    problem: VectorProblem,
    results: dict[str, Measurement],
    marks: dict[str, dict[str, float | None]],
    stated: list[Goal],
) -> dict[str, Any]:
    """Everything about one shape, for the JSON file."""
    methods = {}
    for name, result in results.items():
        raw = {key: value for key, value in asdict(result).items() if key != "arrays"}
        methods[name] = raw | marks[name]
    judged = [{**goal._asdict(), "met": goal.met} for goal in stated]
    return {"problem": asdict(problem), "methods": methods, "goals": judged}


SUITE = VectorSpeed()
