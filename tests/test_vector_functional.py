"""Soft convex quantization as functions: the solver and gradients, against slow twins."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import vector_oracles as oracles  # noqa: E402
from vector_oracles import draw, exact, leaves, penalty_of  # noqa: E402

from solvq import vector  # noqa: E402

Tensor = torch.Tensor
SHAPES = [(4, 3, 6), (3, 2, 7), (3, 6, 4), (5, 1, 3), (2, 4, 1)]
FUNCTIONS = [
    vector.soft_convex,
    vector.soft_convex_relaxed,
    vector.soft_convex_alternating,
    vector.soft_convex_local,
]
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


# the exact solver


@every_shape
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 10.0])
def test_equals_enumeration(shape: tuple[int, int, int], alpha: float) -> None:
    z, codebook = draw(*shape)
    expected = oracles.enumerated(z, codebook, penalty_of(alpha, codebook))
    torch.testing.assert_close(exact(z, codebook, alpha), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("alpha", [1e-3, 1e-2, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("size", [(2, 32), (2, 512), (16, 2), (16, 512), (64, 32), (256, 32)])
def test_objective_of_interior_point(size: tuple[int, int], alpha: float) -> None:
    z, codebook = draw(3, *size)
    penalty = penalty_of(alpha, codebook)
    least = oracles.objective(z, codebook, penalty, oracles.interior_point(z, codebook, penalty))
    ours = oracles.objective(z, codebook, penalty, exact(z, codebook, alpha))
    assert ((ours - least) <= 1e-8 * (1 + least)).all()
    single = exact(z.float(), codebook.float(), alpha).double()
    assert (oracles.objective(z, codebook, penalty, single) <= 1e-4 * least + least + 1e-5).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("size", [(2, 2048), (16, 2048), (64, 512), (256, 2048)])
def test_certificate_and_simplex(size: tuple[int, int], alpha: float, dtype: torch.dtype) -> None:
    z, codebook = (t.to(dtype) for t in draw(24, *size))
    weights, values, gap, n_iter = vector.solve(z, codebook, alpha)
    torch.testing.assert_close(values, weights @ codebook)
    wide, words = z.double(), codebook.double()
    penalty = penalty_of(alpha, words)
    first = oracles.one_hot_nearest(wide, words)
    p = weights.double()
    slope = (p @ words - wide) @ words.T + penalty * (p - first)
    true_gap = (slope * p).sum(1) - slope.amin(1)
    value = oracles.objective(wide, words, penalty, p)
    eps = torch.finfo(dtype).eps
    length = words.square().sum(1).amax()
    allowance = (
        1e3 * eps * (value + (length * 2 * value).sqrt() + eps * length) + 20 * eps * penalty
    )
    assert (true_gap <= 1e-6 * value + allowance).all()
    assert ((gap - true_gap).abs() <= allowance).all()
    best = oracles.objective(wide, words, penalty, exact(wide, words, alpha))
    assert (value - best <= 1e-4 * best + 1e3 * eps**2 * length).all()
    assert (weights >= 0).all()
    assert ((p.sum(1) - 1).abs() <= 20 * eps).all()
    assert n_iter.max() <= 40


def degenerate(name: str) -> Tensor:
    """Codebooks with something missing."""
    _, codebook = draw(1, 5, 12)
    if name == "duplicates":
        codebook[6:] = codebook[:6]
    elif name == "a zero":
        codebook[3] = 0
    elif name == "zeros":
        codebook = torch.zeros_like(codebook)
    elif name == "collinear":
        codebook = codebook[:, :1] * torch.ones(5, dtype=torch.float64)
    elif name == "few":
        codebook = codebook[:2]
    elif name == "one":
        codebook = codebook[:1]
    elif name == "far away":
        codebook = codebook + 1e4
    return codebook


@pytest.mark.parametrize(
    "name", ["duplicates", "a zero", "zeros", "collinear", "few", "one", "far away"]
)
@every_function
def test_degenerate_codebooks(function, name: str) -> None:
    codebook = degenerate(name).requires_grad_()
    z = torch.cat([draw(7, 5, 3, 1)[0] + codebook.detach().mean(0), codebook.detach()[:2]])
    z.requires_grad_()
    values, weights = function(z, codebook, 0.05)
    (values.square().sum() + weights.square().sum()).backward()
    assert values.isfinite().all()
    assert z.grad.isfinite().all()
    assert codebook.grad.isfinite().all()
    if function is vector.soft_convex:
        rows, words = z.detach(), codebook.detach()
        penalty = penalty_of(0.05, words)
        slope = (weights @ words - rows) @ words.T
        slope = slope + penalty * (weights - oracles.one_hot_nearest(rows, words))
        gap = (slope * weights).sum(1) - slope.amin(1)
        value = oracles.objective(rows, words, penalty, weights)
        assert (gap <= 1e-6 * value + 1e-12 * (words.square().sum(1).max() + 1)).all()


# gradients


@every_shape
@every_function
def test_gradcheck(function, shape: tuple[int, int, int]) -> None:
    """To latents, codebook and penalty, through values and weights."""
    more = {"tol": 0} if function in (vector.soft_convex, vector.soft_convex_local) else {}
    if function is vector.soft_convex_local:
        assert torch.autograd.gradcheck(
            lambda z, c, a: function(z, c, a, **more), leaves(shape), rtol=1e-2, atol=1e-4
        )
        return
    assert torch.autograd.gradcheck(
        lambda z, c, a: function(z, c, a, relative=False, **more), leaves(shape)
    )


def test_relative_gradients_stop_at_the_trace() -> None:
    z, codebook, alpha = leaves((4, 3, 6))
    scale = float(codebook.detach().square().sum() / 3)
    for function in FUNCTIONS[:3]:
        total = function(z, codebook, alpha)[0].square().sum()
        relative = torch.autograd.grad(total, (z, codebook, alpha))
        total = function(z, codebook, scale * alpha, relative=False)[0].square().sum()
        for got, expected in zip(
            relative, torch.autograd.grad(total, (z, codebook, alpha)), strict=True
        ):
            torch.testing.assert_close(got, expected)


def test_gradients_with_supports_larger_than_the_dimension() -> None:
    z, codebook = (t.requires_grad_() for t in draw(6, 2, 40))
    weights = exact(z, codebook, 0.02, False)
    assert (weights > 0).sum(1).max() > 2
    assert torch.autograd.gradcheck(lambda z, c: exact(z, c, 0.02, False), (z[::3], codebook))


def test_double_backward_is_refused() -> None:
    z, codebook, alpha = leaves((4, 3, 6))
    for function in (vector.soft_convex, vector.soft_convex_local):
        values, _ = function(z, codebook, alpha)
        (first,) = torch.autograd.grad(values.square().sum(), z, create_graph=True)
        with pytest.raises(RuntimeError, match="second derivatives"):
            first.sum().backward()


def test_double_backward_of_relaxation() -> None:
    assert torch.autograd.gradgradcheck(
        lambda z, c: vector.soft_convex_relaxed(z, c, 0.07, False), leaves((3, 3, 6))[:2]
    )


# the projection


@pytest.mark.parametrize("width", [1, 2, 5, 300])
def test_projection_equals_sorting(width: int) -> None:
    y = torch.randn(40, width, generator=torch.Generator().manual_seed(1)).double()
    for scale in (1e-3, 1.0, 1e3):
        got = vector.project_simplex(scale * y)
        torch.testing.assert_close(got, oracles.sorted_projection(scale * y), rtol=0, atol=1e-12)
    stacked = vector.project_simplex(y.reshape(4, 10, width))
    assert torch.equal(stacked.reshape(40, width), vector.project_simplex(y))


def test_projection_gradients() -> None:
    y = torch.randn(5, 7, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    assert torch.autograd.gradcheck(vector.project_simplex, y)
    assert torch.autograd.gradgradcheck(vector.project_simplex, y)


def test_projection_of_ties_and_halves() -> None:
    y = torch.zeros(3, 6, requires_grad=True)
    p = vector.project_simplex(y)
    p.square().sum().backward()
    assert torch.allclose(p, torch.full_like(p, 1 / 6))
    assert y.grad.isfinite().all()
    for dtype in (torch.float16, torch.bfloat16):
        large = (300 * torch.randn(9, 40, generator=torch.Generator().manual_seed(3))).to(dtype)
        half = vector.project_simplex(large)
        assert half.dtype == dtype
        assert torch.equal(half, vector.project_simplex(large.float()).to(dtype))
        assert ((half.float().sum(1) - 1).abs() < 1e-2).all()
