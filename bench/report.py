"""Turns measurements and verdicts into the printed tables and the JSON file."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.measure import Measurement
from bench.methods import METHODS
from bench.objective import EXACT_TOLERANCE, Score, Verdict
from bench.problem import Problem


@dataclass(frozen=True)
class Outcome:
    """Everything known about one problem after the run."""

    problem: Problem
    answers: dict[str, Measurement]
    verdict: Verdict


@dataclass(frozen=True)
class Row:
    """The reported numbers of one method that finished: CPU times and what follows."""

    method: str
    claims_exact: bool
    score: Score
    cpu: float
    first_cpu: float
    wall: float
    runs: int
    rows: int
    n_values: int
    microseconds_per_value: float
    sort_ratio: float
    histogram_ratio: float | None
    ours_ratio: float | None
    extra_mb: float


Column = tuple[str, Callable[[Row], str]]


def finished_rows(outcome: Outcome) -> list[Row]:
    """Derive the reported numbers of the methods that finished, in the order they ran."""
    done = {name: m for name, m in outcome.answers.items() if m.status == "ok"}
    ours = min(done["ours"].cpu) / done["ours"].values if "ours" in done else None
    return [
        Row(
            method=name,
            claims_exact=METHODS[name].exact,
            score=outcome.verdict.scores[name],
            cpu=min(m.cpu),
            first_cpu=m.cpu[0],
            wall=min(m.wall),
            runs=len(m.cpu),
            n_values=0 if m.codebook is None else int(np.unique(m.codebook).size),
            rows=m.values // outcome.problem.size,
            microseconds_per_value=1e6 * min(m.cpu) / m.values,
            sort_ratio=min(m.cpu) / min(m.sort_cpu),
            histogram_ratio=min(m.cpu) / min(m.histogram_cpu) if m.histogram_cpu else None,
            ours_ratio=None if ours is None else min(m.cpu) / m.values / ours,
            extra_mb=m.extra_bytes / 1e6,
        )
        for name, m in done.items()
    ]


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with a few significant digits and no exponent; a dash for None."""
    if value is None:
        return "-"
    magnitude = math.floor(math.log10(abs(value))) if value else digits - 1
    return f"{value:.{max(0, digits - 1 - magnitude)}f}"


def percent(excess: float) -> str:
    """Write a relative excess as a percentage; rounding noise is written as zero."""
    return "0" if abs(excess) <= EXACT_TOLERANCE else f"+{100 * excess:.2g} %"


def labels(row: Row) -> str:
    """Say whether the run included labels, and whether they name the nearest entries."""
    if not row.score.has_labels:
        return "none"
    return "yes" if row.score.labels_nearest else "NOT NEAREST"


def claim(row: Row) -> str:
    """Say whether the method claims the optimum, and whether the objective disagrees."""
    if not row.claims_exact:
        return "no"
    return "yes" if row.score.optimal else "CLAIMED, IS NOT"


def lines_up(table: Sequence[Sequence[str]]) -> list[str]:
    """Pad cells to columns: the first flush left, the others flush right."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def outcome_text(outcome: Outcome, columns: Sequence[Column]) -> str:
    """Write the block of one problem: title, table, methods without numbers, comparison."""
    problem, verdict = outcome.problem, outcome.verdict
    rows = finished_rows(outcome)
    lines = [f"{problem.name}: {optimum_text(verdict)}"]
    if rows:
        header = [title for title, _ in columns]
        lines += lines_up([header, *([write(row) for _, write in columns] for row in rows)])
    for name, answer in outcome.answers.items():
        if answer.status != "ok":
            lines.append(f"{name}: {answer.status}: {answer.reason}")
    comparison = against_exact_peers(outcome, rows)
    return "\n".join([*lines, comparison] if comparison else lines)


def optimum_text(verdict: Verdict) -> str:
    """Write the best known distortion and what is proved about it."""
    if verdict.best_distortion is None:
        return "no method finished"
    text = f"best known distortion {verdict.best_distortion:.9g}"
    if verdict.refuted:
        return f"{text}; BELOW THE CERTIFIED BOUND: the certificate is wrong"
    if verdict.gap is None:
        return f"{text}; no certificate, since ours did not finish"
    if verdict.gap <= EXACT_TOLERANCE:
        return f"{text}; certified optimal (relative gap below {EXACT_TOLERANCE:.0e})"
    return f"{text}; certified within {100 * verdict.gap:.2g} % of the optimum"


def against_exact_peers(outcome: Outcome, rows: Sequence[Row]) -> str:
    """Compare ours with the fastest peer that reached the optimum, and name those that did not."""
    mine = next((row for row in rows if row.method == "ours"), None)
    if mine is None:
        return ""
    peers = [row for row in rows if row is not mine and row.claims_exact and row.score.optimal]
    exact = {name for name in outcome.answers if METHODS[name].exact and name != "ours"}
    missing = sorted(exact - {row.method for row in peers})
    text = "fastest exact peer: none finished"
    if peers:
        best = min(peers, key=lambda row: row.microseconds_per_value)
        text = f"fastest exact peer: {best.method}, {number(best.ours_ratio)} x ours"
    return text + (f" (without {', '.join(missing)})" if missing else "")


def as_json(outcomes: Sequence[Outcome], environment: dict[str, Any]) -> dict[str, Any]:
    """Return everything that was measured and derived, ready for `json.dumps`."""
    results = []
    for outcome in outcomes:
        derived = {row.method: asdict(row) for row in finished_rows(outcome)}
        entry: dict[str, Any] = {
            "problem": {"name": outcome.problem.name, **asdict(outcome.problem)},
            "best_distortion": outcome.verdict.best_distortion,
            "certified_gap": outcome.verdict.gap,
            "certificate_refuted": outcome.verdict.refuted,
            "methods": {},
        }
        for name, m in outcome.answers.items():
            raw = {
                "cpu_runs": m.cpu,
                "wall_runs": m.wall,
                "sort_cpu": min(m.sort_cpu, default=None),
            }
            status = {"status": m.status, "reason": m.reason}
            entry["methods"][name] = status | (derived[name] | raw if name in derived else {})
        results.append(entry)
    return {"environment": environment, "results": results}
