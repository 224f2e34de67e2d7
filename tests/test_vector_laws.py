"""Soft convex quantization as functions: closed forms, laws, dtypes, compilation and errors."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import vector_oracles as oracles  # noqa: E402
from vector_oracles import draw, exact, leaves  # noqa: E402

from solvq import vector  # noqa: E402

Tensor = torch.Tensor
FUNCTIONS = [
    vector.soft_convex,
    vector.soft_convex_relaxed,
    vector.soft_convex_alternating,
    vector.soft_convex_local,
]
every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


# closed forms and limits


def test_two_codewords() -> None:
    z, codebook = draw(30, 3, 2)
    first = oracles.one_hot_nearest(z, codebook)[:, 0]
    gap = codebook[0] - codebook[1]
    t = ((z - codebook[1]) @ gap + 2 * 0.3 * first) / (gap @ gap + 2 * 0.3)
    weights = exact(z, codebook, 0.3, relative=False)
    torch.testing.assert_close(weights[:, 0], t.clamp(0, 1), rtol=0, atol=1e-12)


def test_orthogonal_codewords_and_relaxation() -> None:
    """There the relaxation is exact, and both are one projection."""
    z, _ = draw(20, 6, 4)
    codebook = 1.7 * torch.linalg.qr(draw(1, 6, 6)[1])[0][:4]
    first = oracles.one_hot_nearest(z, codebook)
    expected = vector.project_simplex((z @ codebook.T + 0.2 * first) / (1.7**2 + 0.2))
    torch.testing.assert_close(exact(z, codebook, 0.2, relative=False), expected)
    relaxed = vector.soft_convex_relaxed(z, codebook, 0.2, relative=False)[1]
    torch.testing.assert_close(relaxed, expected)
    alternating = vector.soft_convex_alternating(z, codebook, 0.2, 500, relative=False)[1]
    torch.testing.assert_close(alternating.sum(1), torch.ones(20, dtype=torch.float64))


def test_relaxation_in_k_by_k_form() -> None:
    z, codebook = draw(9, 4, 11)
    first = oracles.one_hot_nearest(z, codebook)
    matrix = codebook @ codebook.T + 0.2 * torch.eye(11, dtype=torch.float64)
    free = torch.linalg.solve(matrix, (z @ codebook.T + 0.2 * first).T).T
    relaxed = vector.soft_convex_relaxed(z, codebook, 0.2, relative=False)[1]
    torch.testing.assert_close(relaxed, oracles.sorted_projection(free))
    for _ in range(3):
        free = free.clamp_min(0)
        free = free - (free.sum(1, keepdim=True) - 1) / 11
    alternating = vector.soft_convex_alternating(z, codebook, 0.2, 3, relative=False)[1]
    torch.testing.assert_close(alternating, free)


def test_limits() -> None:
    """Hull projection as alpha falls to zero, the nearest codeword as it grows."""
    z, codebook = draw(30, 3, 8)
    values, _ = vector.soft_convex(z, codebook, 1e-8, tol=0)
    residual = z - values
    assert ((residual @ codebook.T).amax(1) - (residual * values).sum(1)).max() < 1e-5
    assert residual[::3].abs().max() < 1e-5  # latents within the hull
    near = oracles.one_hot_nearest(z, codebook)
    torch.testing.assert_close(exact(z, codebook, 1e9), near, rtol=0, atol=1e-6)
    local = vector.soft_convex_local(z, codebook, 1e6)[1]
    torch.testing.assert_close(local, near, rtol=0, atol=1e-4)


def test_local_objective_is_least() -> None:
    z, codebook = draw(9, 3, 6)
    weights = vector.soft_convex_local(z, codebook, 0.3, tol=0)[1]
    distances = (z.unsqueeze(1) - codebook).square().sum(2)
    eye = torch.eye(6, dtype=torch.float64)
    for row, cost, ours in zip(z, distances, weights, strict=True):
        linear = codebook @ row - 0.15 * cost
        best = oracles.quadratic_on_simplex(codebook @ codebook.T + 1e-9 * eye, linear)
        both = oracles.local_objective(row.unsqueeze(0), codebook, 0.3, torch.stack([ours, best]))
        assert both[0] <= both[1] + 1e-5


def test_local_variant_is_continuous_and_exact_is_not() -> None:
    codebook = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    z = torch.tensor([[-1e-7], [1e-7]], dtype=torch.float64)
    left, right = vector.soft_convex_local(z, codebook, 0.5)[0]
    assert (left - right).abs() < 1e-5
    left, right = vector.soft_convex(z, codebook, 0.5)[0]
    assert (left - right).abs() > 0.1


# laws


@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_a_codeword_is_the_solution_iff_in_its_normal_cone(alpha: float) -> None:
    z, codebook = draw(60, 3, 9)
    z[30:] *= 4
    k = oracles.one_hot_nearest(z, codebook).argmax(1)
    residual = z - codebook[k]
    leans = ((codebook - codebook[k].unsqueeze(1)) @ residual.unsqueeze(2)).squeeze(2).amax(1)
    vertex = exact(z, codebook, alpha).gather(1, k.unsqueeze(1)).squeeze(1) == 1
    assert 0 < int(vertex.sum()) < 60
    assert torch.equal(vertex, leans <= 1e-12)


@pytest.mark.parametrize("alpha", [1e-3, 0.1, 1.0])
def test_bound_within_the_hull(alpha: float) -> None:
    """A feasible p with ``p C = z`` costs ``a/2 |p - e|^2 <= a``, so ``|z - z_q|^2 <= 2 a``."""
    _, codebook = draw(1, 4, 20)
    mix = torch.rand(50, 20, generator=torch.Generator().manual_seed(5)).double() ** 6
    z = mix / mix.sum(1, keepdim=True) @ codebook
    values, _ = vector.soft_convex(z, codebook, alpha, relative=False)
    assert (((z - values).square().sum(1)) <= 2 * alpha).all()


def test_symmetries() -> None:
    """Permuting, turning and scaling the data does so to the result."""
    z, codebook = draw(12, 4, 9)
    g = torch.Generator().manual_seed(6)
    order = torch.randperm(9, generator=g)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=g).double())[0]
    for function in FUNCTIONS:
        values, weights = function(z, codebook, 0.05)
        for z2, codebook2, values2, weights2 in (
            (z, codebook[order], values, weights[:, order]),
            (z @ turn, codebook @ turn, values @ turn, weights),
            (1e3 * z, 1e3 * codebook, 1e3 * values, weights),
        ):
            got = function(z2, codebook2, 0.05)
            torch.testing.assert_close(got[0], values2, rtol=1e-6, atol=1e-8)
            torch.testing.assert_close(got[1], weights2, rtol=1e-6, atol=1e-6)


@every_function
def test_batch_equals_rows(function) -> None:
    z, codebook = draw(40, 3, 12)
    values, weights = function(z, codebook, 0.02)
    for i in range(0, 40, 7):
        one = function(z[i : i + 1], codebook, 0.02)
        torch.testing.assert_close(one[0][0], values[i], rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(one[1][0], weights[i], rtol=1e-6, atol=1e-7)


def test_chunks_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from solvq.vector import _active_set  # noqa: PLC0415

    z, codebook = (t.requires_grad_() for t in draw(200, 3, 30))
    results = []
    for elements in (2**20, 64):
        monkeypatch.setitem(_active_set.ELEMENTS, "cpu", elements)
        values = vector.soft_convex(z, codebook, 0.02)[0]
        results.append((values, *torch.autograd.grad(values.square().sum(), (z, codebook))))
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole)


# dtypes, borders, compilation


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every_function
def test_half_precision(function, dtype: torch.dtype) -> None:
    z, codebook = (t.to(dtype).requires_grad_() for t in draw(30, 4, 12))
    values, weights = function(z, codebook, 0.05)
    values.float().square().sum().backward()
    assert values.dtype == z.grad.dtype == codebook.grad.dtype == dtype
    assert weights.dtype == torch.float32
    assert ((weights.sum(1) - 1).abs() < 1e-5).all()
    expected = function(z.float(), codebook.float(), 0.05)
    assert torch.equal(weights, expected[1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = function(z.float(), codebook.float(), 0.05)
    assert torch.equal(mixed[0], expected[0])


@every_function
def test_empty_batch(function) -> None:
    z, codebook = torch.zeros(0, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    values, weights = function(z, codebook, 0.1)
    values.sum().backward()
    assert values.shape == (0, 3)
    assert weights.shape == (0, 5)
    assert torch.equal(codebook.grad, torch.zeros(5, 3))


def test_no_nan_gradients_on_ties() -> None:
    codebook = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0], [0, 0]], requires_grad=True)
    z = torch.tensor([[0.0, 0], [1, 0], [0.5, 0], [0, 2]], requires_grad=True)
    for function in FUNCTIONS:
        values, weights = function(z, codebook, 0.1)
        (values.sum() + weights.square().sum()).backward()
        assert z.grad.isfinite().all()
        assert codebook.grad.isfinite().all()


def test_rows_of_nan_stay_apart() -> None:
    z, codebook = draw(6, 3, 5)
    expected = vector.soft_convex(z, codebook, 0.1)[0]
    z[2] = torch.nan
    torch.testing.assert_close(vector.soft_convex(z, codebook, 0.1)[0][3:], expected[3:])


def test_too_few_rounds_warn_and_certify() -> None:
    z, codebook = draw(9, 16, 200)
    with pytest.warns(UserWarning, match="max_iter=1"):
        first = vector.solve(z, codebook, 1e-3, max_iter=1)
    assert first.gap.max() > vector.solve(z, codebook, 1e-3).gap.max()


@every_function
def test_compiles_without_breaks(function) -> None:
    z, codebook = (t.float().requires_grad_() for t in draw(6, 3, 8))
    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    results = []
    for run in (function, compiled):
        values, weights = run(z, codebook, 0.1)
        loss = values.square().sum() + weights.square().sum()
        results.append((values, weights, *torch.autograd.grad(loss, (z, codebook))))
    for eager, traced in zip(*results, strict=True):
        torch.testing.assert_close(traced, eager)


def test_operators_keep_torchs_contract() -> None:
    z, codebook, alpha = leaves((4, 3, 6))
    start = torch.zeros(4, dtype=torch.long)
    ops = torch.ops.solvq
    for cost in (None, torch.rand(4, 6, dtype=torch.float64, requires_grad=True)):
        arguments = (z, codebook, alpha, start, cost, 1e-6, 100)
        torch.library.opcheck(ops.soft_convex.default, arguments)
    torch.library.opcheck(ops.project_rows.default, (torch.randn(4, 6, requires_grad=True),))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"z": [[1.0]]}, TypeError, "z is list"),
        ({"z": torch.ones(2, 3, dtype=torch.int64)}, TypeError, "int64"),
        ({"z": torch.ones(3)}, ValueError, r"\(3,\)"),
        ({"z": torch.ones(2, 4)}, ValueError, "one codeword a row"),
        ({"codebook": torch.ones(0, 3)}, ValueError, "K >= 1"),
        ({"alpha": 0.0}, ValueError, "above 0"),
        ({"alpha": "1"}, TypeError, "'1'"),
        ({"alpha": torch.ones(2)}, ValueError, "0-d"),
        ({"alpha": torch.tensor(1)}, TypeError, "int64"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"max_iter": 0}, ValueError, "max_iter"),
    ],
)
def test_errors_say_what_was_got(change, error: type[Exception], message: str) -> None:
    arguments = {"z": torch.ones(2, 3), "codebook": torch.ones(5, 3), "alpha": 0.1} | change
    with pytest.raises(error, match=message):
        vector.soft_convex(**arguments)


def test_other_errors() -> None:
    z, codebook = torch.ones(2, 3), torch.ones(5, 3)
    with pytest.raises(ValueError, match="m is 0"):
        vector.soft_convex_alternating(z, codebook, 0.1, 0)
    with pytest.raises(ValueError, match="K >= 1"):
        vector.project_simplex(torch.ones(()))
    with pytest.raises(TypeError, match="int64"):
        vector.project_simplex(torch.ones(3, dtype=torch.int64))
