"""Ways to solve the anchored problem, cut off after more or fewer iterations. Needs torch."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.vector.method import Penalty
from bench.vector.objective import (
    certify,
    quantization_error,
    rounded,
    squared_error,
    violation,
)
from bench.vector.problem import Array, Data
from solvq.vector import project_simplex, soft_convex_alternating, soft_convex_relaxed, solve

Weights = Callable[[Tensor, Tensor, float], Tensor]

GRADIENT_STEPS = (5, 10, 20, 50)
ROUNDS = (1, 2, 3, 5, 10, 50)
ALTERNATIONS = 10
TOL = 1e-6
LAWFUL = 1e-5  # violation of the simplex by rounding; with more an objective says nothing


class Point(NamedTuple):
    """What one method reached on one problem, and the CPU seconds that a latent took.

    ``excess`` is the mean objective over the least one that any method reached, row by row,
    minus 1; ``gap`` the largest proven distance from the minimum over the objective; ``mse`` the
    error an entry.
    """

    error: float
    mse: float
    excess: float
    gap: float
    infeasible: float
    seconds: list[float]

    @property
    def lawful(self) -> bool:
        """Whether the weights lie on the simplex."""
        return self.infeasible <= LAWFUL


def one_hot_nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """Unit vectors (N, K) of the nearest codewords."""
    score = torch.addmm(codebook.square().sum(1) / -2, z, codebook.T)
    return torch.nn.functional.one_hot(score.argmax(1), len(codebook)).to(z.dtype)


def accelerated_gradient(z: Tensor, codebook: Tensor, alpha: float, steps: int) -> Tensor:
    """Accelerated projected gradient steps from the nearest codeword, each row with its restarts.

    The step is ``1 / (a + sigma_max(C)^2)``; C is centred, which changes nothing on the simplex but
    makes the step longer. A row forgets its momentum where that points uphill.
    """
    ridge = alpha * codebook.square().sum() / codebook.shape[1]
    start = one_hot_nearest(z, codebook)
    centre = codebook.mean(0)
    z, words = z - centre, codebook - centre
    step = 1 / (ridge + torch.linalg.eigvalsh(words.T @ words)[-1])
    p = ahead = start
    momentum = torch.ones_like(z[:, :1])
    for _ in range(steps):
        slope = (ahead @ words - z) @ words.T + ridge * (ahead - start)
        fresh = project_simplex(ahead - step * slope)
        uphill = ((ahead - fresh) * (fresh - p)).sum(1, keepdim=True) > 0
        momentum = torch.where(uphill, 1.0, momentum)
        grown = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        ahead = fresh + torch.where(uphill, 0.0, (momentum - 1) / grown) * (fresh - p)
        p, momentum = fresh, grown
    return p


def _gradient(steps: int) -> Weights:
    """Accelerated gradient with so many steps."""
    return lambda z, codebook, alpha: accelerated_gradient(z, codebook, alpha, steps)


def _exact(rounds: int) -> Weights:
    """The exact solver with at most so many rounds."""
    return lambda z, codebook, alpha: solve(z, codebook, alpha, tol=TOL, max_iter=rounds).weights


def methods() -> dict[str, Weights]:
    """Every method by name: weights (N, K) from latents, codebook and relative penalty."""
    return {
        "nearest": lambda z, codebook, _: one_hot_nearest(z, codebook),
        f"alternating {ALTERNATIONS}": lambda z, codebook, alpha: soft_convex_alternating(
            z, codebook, alpha, ALTERNATIONS
        )[1],
        "relaxed": lambda z, codebook, alpha: soft_convex_relaxed(z, codebook, alpha)[1],
        **{f"gradient {steps}": _gradient(steps) for steps in GRADIENT_STEPS},
        **{f"exact {rounds}": _exact(rounds) for rounds in ROUNDS},
    }


def compare(data: Data, alpha: float, names: list[str], repeats: int) -> dict[str, Point]:
    """Run methods in turn on one problem, after a warm-up on a few rows, and judge them."""
    table = methods()
    z, codebook = torch.from_numpy(data.z), torch.from_numpy(data.codebook)
    weights: dict[str, Array] = {}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopping early is the subject
        for name in names:
            table[name](z[:8], codebook, alpha)
        for _ in range(repeats):
            for name in names:
                start = time.process_time()
                found = table[name](z, codebook, alpha)
                seconds[name].append((time.process_time() - start) / len(z))
                weights[name] = found.numpy()
    return judge(data, alpha, weights, seconds)


def judge(
    data: Data, alpha: float, weights: dict[str, Array], seconds: dict[str, list[float]]
) -> dict[str, Point]:
    """Compute what is reported from the weights, in float64."""
    penalty = Penalty("anchored", alpha)
    worst = {name: float(violation(p).max()) for name, p in weights.items()}
    fine = {name: rounded(p) if worst[name] <= LAWFUL else p for name, p in weights.items()}
    proofs = {name: certify(data.z, data.codebook, p, penalty) for name, p in fine.items()}
    feasible = [proof.objective for name, proof in proofs.items() if worst[name] <= LAWFUL]
    least = np.min(feasible, axis=0).sum() if feasible else np.nan
    points = {}
    for name, proof in proofs.items():
        values = weights[name].astype(np.float64) @ data.codebook.astype(np.float64)
        points[name] = Point(
            error=quantization_error(data.z, values),
            mse=float(squared_error(data.z, values).mean()) / data.z.shape[1],
            excess=float(proof.objective.sum() / least - 1),
            gap=float((proof.gap / proof.objective).max()),
            infeasible=worst[name],
            seconds=seconds[name],
        )
    return points
