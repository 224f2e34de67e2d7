"""Judges every answer: distortion and excess come from here, whatever the method claims.

The distortion of a codebook is the weighted mean of the squared distance of each value to the
nearest entry, in float64. The excess of a method is its distortion divided by the best known one,
minus 1, row by row; the best known one is the smallest of the run. Where solvq took part, its
codebook is also given to `solvq.certificate`, whose lower bound tells how far the best known
distortion can be from the optimum.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.measure import Measurement
from bench.problem import Array, Problem

EXACT_TOLERANCE = 1e-9
"""A relative excess below this counts as optimal."""
LABEL_TOLERANCE = 1e-6
"""Labels may lose this much against nearest ones: ties, and codebooks rounded to float32."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """The judgement of one answer, over the judged rows (one, for a vector)."""

    distortion: float
    excess_mean: float
    excess_max: float
    has_labels: bool
    labels_nearest: bool
    optimal: bool


@dataclass(frozen=True)
class Verdict:
    """The judgement of all answers to one problem."""

    scores: dict[str, Score]
    best_distortion: float | None
    gap: float | None
    """Largest relative distance of the certified lower bound; None without a certificate."""
    refuted: bool
    """Whether some answer is below the lower bound, which would prove the certificate wrong."""


def nearest_distortion(x: Floats, codebook: Floats, weights: Floats | None) -> float:
    """Return the weighted mean squared distance of `x` to its nearest codebook entries."""
    entries = np.sort(codebook)
    labels = np.searchsorted((entries[1:] + entries[:-1]) / 2, x)
    return label_distortion(x, entries, labels, weights)


def label_distortion(x: Floats, codebook: Floats, labels: Array, weights: Floats | None) -> float:
    """Return the weighted mean squared distance of `x` to the entries its labels name."""
    return float(np.average((x - codebook[labels]) ** 2, weights=weights))


def relative(value: float, reference: float) -> float:
    """Return value / reference - 1, with 0 / 0 counted as equal."""
    if reference > 0:
        return float(value / reference - 1)
    return 0.0 if value == 0 else float("inf")


def judge(problem: Problem, answers: Mapping[str, Measurement]) -> Verdict:
    """Score the finished answers to one problem against each other and the certificate."""
    x, weights = problem.load(all_rows=False)
    rows = np.atleast_2d(x.astype(np.float64))
    masses = None if weights is None else np.atleast_2d(weights.astype(np.float64))
    finished = {name: m for name, m in answers.items() if m.status == "ok"}
    distortions = {name: per_row(rows, masses, m) for name, m in finished.items()}
    if not distortions:
        return Verdict({}, None, None, False)
    allowed = [name for name, answer in finished.items() if fits(answer, problem.n_values)]
    best = np.min([distortions[name] for name in allowed or distortions], axis=0)
    scores = {
        name: score(distortions[name], best, finished[name].labels is not None, nearest)
        for name, nearest in labels_nearest(rows, masses, finished).items()
    }
    gaps = certified_gaps(rows, masses, finished.get("ours"))
    if gaps is None:
        return Verdict(scores, float(best.mean()), None, False)
    bounds = distortions["ours"] * (1 - gaps)
    refuted = bool(np.any(best < bounds * (1 - EXACT_TOLERANCE)))
    left = max(relative(d, b) for d, b in zip(best, bounds, strict=True))
    return Verdict(scores, float(best.mean()), float(max(left, 0.0)), refuted)


def fits(answer: Measurement, n_values: int) -> bool:
    """Tell whether an answer has no more entries than were asked for."""
    return all(np.unique(codebook).size <= n_values for codebook in judged_codebooks(answer))


def per_row(rows: Floats, masses: Floats | None, answer: Measurement) -> Floats:
    """Return the distortion of an answer on each judged row."""
    codebooks = judged_codebooks(answer)
    return np.array(
        [
            nearest_distortion(row, codebooks[i], None if masses is None else masses[i])
            for i, row in enumerate(rows)
        ]
    )


def judged_codebooks(answer: Measurement) -> Floats:
    """Return the codebooks to judge, one a row: the unrounded ones where there are two."""
    codebook = answer.codebook if answer.precise is None else answer.precise
    return np.atleast_2d(np.asarray(codebook, dtype=np.float64))


def labels_nearest(
    rows: Floats, masses: Floats | None, answers: Mapping[str, Measurement]
) -> dict[str, bool]:
    """Tell for each answer whether its labels, if any, are as good as nearest ones."""
    nearest = {}
    for name, answer in answers.items():
        nearest[name] = True
        if answer.labels is None:
            continue
        codebooks = np.atleast_2d(np.asarray(answer.codebook))
        labels = np.atleast_2d(answer.labels)
        for i, row in enumerate(rows):
            mass = None if masses is None else masses[i]
            used = label_distortion(row, codebooks[i], labels[i], mass)
            loss = relative(used, nearest_distortion(row, codebooks[i], mass))
            nearest[name] &= loss <= LABEL_TOLERANCE
    return nearest


def score(distortions: Floats, best: Floats, has_labels: bool, nearest: bool) -> Score:
    """Compare one answer's distortions with the best ones, row by row."""
    excess = [relative(d, b) for d, b in zip(distortions, best, strict=True)]
    return Score(
        distortion=float(distortions.mean()),
        excess_mean=float(np.mean(excess)),
        excess_max=float(np.max(excess)),
        has_labels=has_labels,
        labels_nearest=nearest,
        optimal=bool(max(excess) <= EXACT_TOLERANCE),
    )


def certified_gaps(
    rows: Floats, masses: Floats | None, answer: Measurement | None
) -> Floats | None:
    """Return 1 - lower bound / distortion of our codebook on each judged row, if there is one."""
    if answer is None:
        return None
    certificate = getattr(importlib.import_module("solvq"), "certificate", None)
    if certificate is None:
        return None
    codebooks = judged_codebooks(answer)
    gaps = []
    for i, row in enumerate(rows):
        proof = certificate(row, codebooks[i], None if masses is None else masses[i])
        exact = proof.distortion == 0
        gaps.append(0.0 if exact else 1 - proof.lower_bound / proof.distortion)
    return np.array(gaps)
