"""The compiled kernels of exact soft convex weights against slow twins and the batches of torch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import vector_oracles as oracles  # noqa: E402

from solvq.vector import _convex_kernels as kernels  # noqa: E402
from solvq.vector import _implicit, _minimum, _simplex, solve  # noqa: E402
from solvq.vector._active_set import Problem, minimise_in_chunks  # noqa: E402

Tensor = torch.Tensor
SHAPES = [(6, 3, 7), (4, 2, 30), (5, 20, 4), (3, 1, 2), (2, 3, 1)]
every_shape = pytest.mark.parametrize("shape", SHAPES)
with_cost = pytest.mark.parametrize("cost", [False, True])


pytestmark = pytest.mark.usefixtures("one_thread")


def posed(shape: tuple[int, int, int], alpha: float, cost: bool = False) -> Problem:
    z, codebook = oracles.draw(*shape)
    codebook = codebook - codebook.mean(0)
    start = torch.cdist(z, codebook).argmin(1)
    ridge = torch.tensor(oracles.penalty_of(alpha, codebook), dtype=torch.float64)
    g = torch.Generator().manual_seed(4)
    charge = torch.rand(len(z), len(codebook), generator=g, dtype=torch.float64) if cost else None
    return Problem(z, codebook, ridge, start, charge)


def value_and_gap(problem: Problem, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Objective and Frank-Wolfe gap from their definitions."""
    residual = weights @ problem.codebook - problem.target
    first = torch.eye(len(problem.codebook), dtype=weights.dtype)[problem.start]
    slope = residual @ problem.codebook.T
    if problem.cost is None:
        off, linear = weights - first, torch.zeros_like(weights)
    else:
        off, linear = weights, problem.cost
    slope = slope + problem.ridge * off + linear
    penalty = problem.ridge * off.square().sum(1) / 2
    value = residual.square().sum(1) / 2 + penalty + (linear * weights).sum(1)
    return value, (slope * weights).sum(1) - slope.amin(1)


def test_factor_follows_the_support() -> None:
    """L L^T = H on the support, and L times the sides are their right sides, after every change."""
    words = torch.randn(9, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    matrix = (words @ words.T + 0.1 * torch.eye(9, dtype=words.dtype)).numpy()
    problem = (words @ words.T).numpy(), words.numpy(), 0.1
    without_table = np.empty((0, 0)), words.numpy(), 0.1
    right, work, support = np.linspace(-1, 2, 9), kernels.workspace(9, 9), []
    for move in (4, 7, 0, 2, -1, 8, -3, 5, 1, -5, -1, 4):
        if move < 0:
            del support[-1 - move]
            count = kernels.remove(work, len(support) + 1, -1 - move)
        else:
            table = problem if move % 2 else without_table
            count = kernels.append(table, work, len(support), move, right[move])
            support.append(move)
        chosen, _, factor, sides, _ = work
        assert count == len(support)
        assert chosen[:count].tolist() == support
        lower = np.tril(factor[:count, :count])
        np.testing.assert_allclose(lower @ lower.T, matrix[np.ix_(support, support)], atol=1e-12)
        np.testing.assert_allclose(lower @ sides[0, :count], right[support], atol=1e-12)
        np.testing.assert_allclose(lower @ sides[1, :count], 1, atol=1e-12)
        goal = np.empty(9)
        level = kernels.aim(work, count, 1.0, goal)
        slopes = right[support] - matrix[np.ix_(support, support)] @ goal[:count]
        np.testing.assert_allclose(slopes, level, atol=1e-10)
        np.testing.assert_allclose(goal[:count].sum(), 1)


def test_a_copy_of_a_codeword_stays_out_without_a_penalty() -> None:
    words = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]])
    problem = words @ words.T, words, 0.0
    work = kernels.workspace(3, 3)
    assert kernels.append(problem, work, 0, 2, 0.0) == 0
    assert kernels.append(problem, work, 0, 0, 0.0) == 1
    assert kernels.append(problem, work, 1, 1, 0.0) == 1


@pytest.mark.parametrize("n_entrants", [1, 3, 8, 30])
def test_steepest_equals_sorting(n_entrants: int) -> None:
    slopes = np.random.default_rng(0).normal(size=30).round(2)
    work = kernels.workspace(30, 30)
    support = [3, 11, int(slopes.argmax())]
    work[0][:3], work[4][:] = support, slopes
    entrants = np.empty(n_entrants, np.int64)
    found = kernels.steepest(work, 3, entrants)
    outside = [j for j in np.argsort(-slopes, kind="stable") if j not in support]
    expected = [j for j in outside if slopes[j] > slopes[support].min()][:n_entrants]
    assert slopes[entrants[:found]].tolist() == slopes[expected].tolist()
    assert len(set(entrants[:found])) == found == len(expected)


@every_shape
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 10.0])
def test_rows_equal_enumeration(shape: tuple[int, int, int], alpha: float) -> None:
    problem = posed(shape, alpha)
    got = _minimum.minimise_by_rows(problem, 0, 100)
    if shape[2] <= 7:
        expected = oracles.enumerated(problem.target, problem.codebook, float(problem.ridge))
        torch.testing.assert_close(got.weights, expected, rtol=0, atol=1e-9)
    value, gap = value_and_gap(problem, got.weights)
    torch.testing.assert_close(got.objective, value, rtol=1e-9, atol=1e-12)
    assert ((got.gap - gap).abs() <= 1e-11 * (1 + problem.ridge)).all()


@with_cost
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_shape
def test_rows_equal_batches(shape: tuple[int, int, int], dtype: torch.dtype, cost: bool) -> None:
    for alpha in (1e-3, 0.05, 1.0):
        wide = posed(shape, alpha, cost)
        charge = None if wide.cost is None else wide.cost.to(dtype)
        floats = (t.to(dtype) for t in wide[:3])
        problem = Problem(*floats, wide.start, charge)
        expected = minimise_in_chunks(problem.double(), 0, 100)
        got = _minimum.minimise_by_rows(problem, 1e-5, 100)
        assert got.weights.dtype == got.gap.dtype == dtype
        excess = value_and_gap(problem.double(), got.weights.double())[0] - expected.objective
        slack = 100 * torch.finfo(dtype).eps * (1 + expected.objective.abs())
        assert (excess >= -slack).all()
        assert (excess <= got.gap.double() + slack).all()
        assert (got.gap <= 1e-5 * got.objective + slack).all()


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_tiny_penalties_copies_and_offsets(offset: float) -> None:
    """Where the systems are nearly singular, the gap still tells the truth."""
    z, codebook = oracles.draw(8, 3, 12)
    codebook[6:] = codebook[:6]
    ridge = 1e-9 * oracles.penalty_of(1.0, codebook)
    found = solve(z + offset, codebook + offset, ridge, relative=False)
    start = oracles.one_hot_nearest(z, codebook).argmax(1)
    tensor = torch.tensor(ridge, dtype=torch.float64)
    value, gap = value_and_gap(Problem(z, codebook, tensor, start, None), found.weights)
    length = codebook.square().sum(1).max()
    slack = 1e-13 * length * (1 + offset)
    assert (gap <= 1e-4 * value + slack).all()
    assert ((found.gap - gap).abs() <= slack).all()


@with_cost
@pytest.mark.parametrize("table", [0, 10**6])
@every_shape
def test_gradients_equal_batches(
    shape: tuple[int, int, int], table: int, cost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_implicit, "TABLE", table)
    problem = posed(shape, 0.02)
    weights = _minimum.minimise_by_rows(problem, 0, 100).weights
    residual = problem.target - weights @ problem.codebook
    start = None if cost else problem.start
    g = torch.Generator().manual_seed(5)
    to_weights = torch.randn(weights.shape, generator=g, dtype=torch.float64)
    for given in (None, to_weights):
        inputs = residual, problem.codebook, problem.ridge, start, weights, given, residual + 1
        for got, expected in zip(
            _implicit.gradients_by_rows(*inputs), _implicit.gradients(*inputs), strict=True
        ):
            torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)
        floats = [t.float() if t is not None and t.is_floating_point() else t for t in inputs]
        for got, expected in zip(
            _implicit.gradients_by_rows(*floats), _implicit.gradients(*inputs), strict=True
        ):
            assert got.dtype == torch.float32
            torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=1e-3)


def test_threads_share_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = posed((40, 3, 20), 0.02)

    def results() -> list[Tensor]:
        found = _minimum.minimise_by_rows(problem, 1e-6, 100)
        shape = problem.target, problem.codebook, problem.ridge, problem.start
        inputs = *shape, found.weights, None, problem.target + 1
        return [*found, *_implicit.gradients_by_rows(*inputs)]

    alone = results()
    monkeypatch.setattr(_simplex, "ELEMENTS", 100)
    torch.set_num_threads(3)
    assert len(_simplex.spans(alone[0])) == 3
    for got, expected in zip(results(), alone, strict=True):
        torch.testing.assert_close(got, expected)


def test_many_codewords_for_few_rows_go_in_batches() -> None:
    assert _minimum.worth_a_table(1, 256)
    assert _minimum.worth_a_table(1000, 2048)
    assert not _minimum.worth_a_table(100, 2048)
    assert not _minimum.worth_a_table(10**6, 4096)


@with_cost
def test_gradients_keep_torchs_contract(cost: bool) -> None:
    problem = posed((4, 3, 6), 0.05)
    weights = _minimum.minimise_by_rows(problem, 0, 100).weights
    start = None if cost else problem.start
    inputs = problem.target, problem.codebook, problem.ridge, start, weights, None, problem.target
    torch.library.opcheck(torch.ops.solvq.soft_convex_backward.default, inputs)
