"""Exact soft convex quantization: by rows on the CPU, else by batches of alike rows."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from solvq.vector import _convex_kernels
from solvq.vector._active_set import Outputs, Problem, minimise_in_chunks
from solvq.vector._simplex import array, in_threads, spans

COARSE = 1e-4  # of the objective: a gap that rounding alone should not leave
ROUNDING = 10  # times machine epsilon and the largest codeword's square: a gap that it may
LARGEST_TABLE = 2048  # codewords, whose inner products then take 32 MB
SMALL_TABLE = 256  # codewords, whose inner products cost next to nothing
ELEMENTS = 2**18  # of the linear terms of the rows that a thread has at a time


def worth_a_table(n_rows: int, n_codes: int) -> bool:
    """Whether rows pay for the table of inner products of all codewords, and read it in a cache."""
    return n_codes <= SMALL_TABLE or (n_codes <= LARGEST_TABLE and n_codes <= 8 * n_rows)


def minimise(problem: Problem, tol: float, max_iter: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (N, K), Frank-Wolfe gaps (N,) and rounds (N,) of a problem.

    Rows that rounding stops early, with a gap above `COARSE` of their objective, are solved again
    by batches in float64.
    """
    by_rows = problem.target.is_cpu and worth_a_table(len(problem.target), len(problem.codebook))
    dtype = torch.float64 if by_rows else problem.target.dtype
    centre = problem.codebook.mean(0)
    centred = problem._replace(target=problem.target - centre, codebook=problem.codebook - centre)
    run = minimise_by_rows if by_rows else minimise_in_chunks
    outputs = run(centred, tol, max_iter)
    length = centred.codebook.square().sum(1).amax()
    allowance = ROUNDING * torch.finfo(dtype).eps * length
    stuck = outputs.gap > max(tol, COARSE) * outputs.objective + allowance
    rows = (stuck & (outputs.n_iter < max_iter)).nonzero().squeeze(1)
    if len(rows) and (by_rows or dtype != torch.float64):
        again = minimise_in_chunks(centred.take(rows).double(), tol, max_iter)
        for entries, better in zip(outputs, again, strict=True):
            entries[rows] = better.to(entries.dtype)
    left = int(
        (outputs.n_iter >= max_iter).logical_and(outputs.gap > tol * outputs.objective).sum()
    )
    if left:
        warnings.warn(
            f"{left} of {len(outputs.gap)} rows stopped after max_iter={max_iter} rounds with a "
            f"gap above tol={tol}; raise max_iter or tol",
            stacklevel=2,
        )
    return outputs.weights, outputs.gap, outputs.n_iter


def minimise_by_rows(problem: Problem, tol: float, max_iter: int) -> Outputs:
    """What is known of all rows of a centred problem on the CPU, computed in float64.

    See `solvq.vector._convex_kernels`. Latents and mixtures are taken as differences to the start,
    so that a latent on a codeword is met exactly.
    """
    n_rows, n_codes = len(problem.target), len(problem.codebook)
    words, ridge = problem.codebook.double(), float(problem.ridge.detach())
    outputs = Outputs(
        problem.target.new_zeros(n_rows, n_codes),
        problem.target.new_empty(n_rows),
        torch.empty_like(problem.start),
        problem.target.new_empty(n_rows),
    )
    kernel_problem = array(words @ words.T), array(words), ridge
    limits = tol, max_iter
    size = max(64, torch.get_num_threads() * ELEMENTS // n_codes)
    for first in range(0, n_rows, size):
        rows = slice(first, first + size)
        linear, highest = _at_start(problem.take(rows), words)
        arrays = array(linear), array(problem.start[rows]), array(highest)
        results = tuple(array(entries[rows]) for entries in outputs)
        in_threads(
            _convex_kernels.solve_rows, spans(linear), kernel_problem, arrays, limits, results
        )
    return outputs


def _at_start(problem: Problem, words: Tensor) -> tuple[Tensor, Tensor]:
    """Negative gradient in a step from the start, which is (n, K), and the objective there."""
    start = problem.start.unsqueeze(1)
    residual = problem.target.double() - words.index_select(0, problem.start)
    linear, highest = residual @ words.T, residual.square().sum(1) / 2
    if problem.cost is not None:
        ridge = problem.ridge.double()
        linear -= problem.cost
        linear.scatter_add_(1, start, -ridge.expand(len(start), 1))
        highest = highest + problem.cost.gather(1, start).squeeze(1) + ridge / 2
    return linear, highest
