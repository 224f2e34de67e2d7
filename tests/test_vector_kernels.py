"""The compiled kernels of the simplex against their twins in torch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import vector_oracles as oracles  # noqa: E402

from solvq.vector import _relaxed, _simplex  # noqa: E402

Tensor = torch.Tensor
ops = torch.ops.solvq
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
every_width = pytest.mark.parametrize("width", [1, 2, 5, 300, 9000])
FAMILIES = {
    "normal": lambda y: y,
    "small": lambda y: 1e-3 * y,
    "large": lambda y: 1e3 * y,
    "ties": torch.round,
    "equal": torch.ones_like,
    "spread": lambda y: 1e30 * y,
    "masked": lambda y: torch.where(y < y.amax(1, keepdim=True) - 1, -torch.inf, y),
}


pytestmark = pytest.mark.usefixtures("one_thread")


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)


def problem(n: int, f: int, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Residual, maps, start and codebook of `mix_rows`."""
    start = torch.randint(k, (n,), generator=torch.Generator().manual_seed(3))
    maps, codebook = noise(2, k, f, dtype=dtype, seed=1)
    return noise(n, f, dtype=dtype) / f, maps.contiguous(), start, codebook.clone()


def close(got: Tensor, expected: Tensor) -> None:
    slack = 64 * torch.finfo(expected.dtype).eps
    torch.testing.assert_close(got, expected, rtol=slack, atol=slack, equal_nan=True)


@every_dtype
@every_width
@pytest.mark.parametrize("family", FAMILIES)
def test_projection_equals_twin(family: str, width: int, dtype: torch.dtype) -> None:
    y = FAMILIES[family](noise(4, width)).to(dtype)
    before = y.clone()
    got = ops.project_rows(y)
    assert torch.equal(y, before)
    close(got, _simplex.projected(y))
    close(got.sum(1), torch.ones(4, dtype=dtype))
    if family not in {"masked", "spread"}:
        near = y - y.amax(1, keepdim=True)
        expected = oracles.sorted_projection(near.double()).to(dtype)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e3 * torch.finfo(dtype).eps)


@every_dtype
@every_width
def test_centring_equals_twin(width: int, dtype: torch.dtype) -> None:
    weights = _simplex.projected(noise(5, width, dtype=dtype))
    weights[3] = torch.nan
    grad = noise(5, width, dtype=dtype, seed=1)
    close(ops.centre_rows(weights, grad), _simplex.centred(weights, grad))


@every_dtype
@pytest.mark.parametrize("shape", [(5, 3, 1), (4, 1, 2), (7, 4, 40), (3, 40, 300), (2, 2, 9000)])
def test_mixtures_equal_twin(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    inputs = problem(*shape, dtype)
    weights, values = ops.mix_rows(*inputs)
    for got, expected in zip((weights, values), _relaxed.mixed(*inputs), strict=True):
        close(got, expected)
    residual, maps, _, codebook = inputs
    to_values = noise(*residual.shape, dtype=dtype, seed=4)
    for to_weights in (None, noise(*weights.shape, dtype=dtype, seed=5)):
        arguments = (residual, maps, codebook, weights, to_weights, to_values)
        expected = _relaxed.gradients(*arguments)
        for got, twin in zip(ops.mix_rows_backward(*arguments), expected, strict=True):
            close(got / twin.abs().amax(), twin / twin.abs().amax())


def test_strides_do_not_matter() -> None:
    y = noise(30, 12)
    assert torch.equal(ops.project_rows(y.T), ops.project_rows(y.T.contiguous()))
    assert torch.equal(ops.project_rows(y[::2, ::3]), ops.project_rows(y[::2, ::3].contiguous()))
    row = noise(1, 12).expand(5, 12)
    assert torch.equal(ops.project_rows(row), ops.project_rows(row.contiguous()))
    inputs = problem(6, 4, 9, torch.float64)
    residual, maps, codebook = (inputs[i].T.contiguous().T for i in (0, 1, 3))
    start = inputs[2].repeat_interleave(2)[::2]
    for got, expected in zip(
        ops.mix_rows(residual, maps, start, codebook), ops.mix_rows(*inputs), strict=True
    ):
        close(got, expected)


def test_rows_of_nan_and_infinity_stay_apart() -> None:
    y = noise(6, 40)
    expected = ops.project_rows(y)
    y[1, 3], y[2], y[4, 0] = torch.nan, torch.nan, torch.inf
    got = ops.project_rows(y)
    close(got, _simplex.projected(y))
    assert got[[1, 2, 4]].isnan().all()
    assert torch.equal(got[[0, 3, 5]], expected[[0, 3, 5]])
    residual, maps, start, codebook = problem(4, 3, 8, torch.float64)
    residual[1] = torch.nan
    weights, values = ops.mix_rows(residual, maps, start, codebook)
    assert values[1].isnan().all()
    grads = ops.mix_rows_backward(residual, maps, codebook, weights, None, values)
    assert grads[0][[0, 2, 3]].isfinite().all()
    assert grads[1].isfinite().all()
    assert grads[2].isfinite().all()


@pytest.mark.parametrize("shape", [(0, 4), (0, 1)])
def test_no_rows(shape: tuple[int, int]) -> None:
    y = torch.zeros(shape)
    assert ops.project_rows(y).shape == ops.centre_rows(y, y).shape == shape


def test_threads_share_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = problem(61, 4, 30, torch.float64)
    to_values = noise(61, 4, seed=4)

    def results() -> list[Tensor]:
        weights, values = ops.mix_rows(*inputs)
        grads = ops.mix_rows_backward(*inputs[:2], inputs[3], weights, None, to_values)
        return [weights, values, *grads, ops.centre_rows(weights, noise(61, 30, seed=5))]

    alone = results()
    monkeypatch.setattr(_simplex, "ELEMENTS", 100)
    torch.set_num_threads(3)
    assert len(_simplex.spans(alone[0])) == 3
    for got, expected in zip(results(), alone, strict=True):
        close(got, expected)


@every_dtype
def test_operators_keep_torchs_contract(dtype: torch.dtype) -> None:
    residual, maps, start, codebook = problem(6, 3, 8, dtype)
    weights, values = ops.mix_rows(residual, maps, start, codebook)
    grads = (residual.clone(), maps.clone(), codebook.clone(), weights, weights, values)
    for leaf in (residual, maps, codebook):
        leaf.requires_grad_()
    torch.library.opcheck(ops.mix_rows.default, (residual, maps, start, codebook))
    torch.library.opcheck(ops.mix_rows_backward.default, grads)
    torch.library.opcheck(ops.centre_rows.default, (weights, weights.clone().requires_grad_()))
    torch.library.opcheck(ops.project_rows.default, (noise(8, 6).to(dtype).T.requires_grad_(),))
