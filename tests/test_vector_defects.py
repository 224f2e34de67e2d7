"""Defects seen in other packages' layers, each as a test that ours pass."""

from __future__ import annotations

import copy
import math
import warnings

import pytest

torch = pytest.importorskip("torch")

from layer_cases import (  # noqa: E402
    CODES,
    DIM,
    MIXED,
    MOVING,
    NOISY,
    build,
    descend,
    equal,
    latents,
    state,
    step,
)
from torch.utils.checkpoint import checkpoint  # noqa: E402

from solvq.vector import METHODS  # noqa: E402

every = pytest.mark.parametrize("name", METHODS)
both_modes = pytest.mark.parametrize("training", [True, False])
both_policies = pytest.mark.parametrize("nan_policy", ["raise", "omit"])


def same(a, b) -> None:
    """Assert that two results agree up to rounding, NaN included."""
    assert torch.equal(a.indices, b.indices)
    torch.testing.assert_close(a.values, b.values, rtol=1e-4, atol=1e-4, equal_nan=True)
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-4, atol=1e-5)


# masks ---------------------------------------------------------------------------------------


@every
@both_modes
@both_policies
def test_a_mask_that_is_all_true_changes_nothing(name, training, nan_policy) -> None:
    plain = build(name, nan_policy=nan_policy).train(training)
    masked, z = copy.deepcopy(plain), latents(2, DIM, 5)
    other = z.detach().clone().requires_grad_()
    a, b = step(plain, z), step(masked, other, torch.ones(2, 5, dtype=torch.bool))
    same(a, b)
    torch.testing.assert_close(z.grad, other.grad)
    assert state(plain).keys() == state(masked).keys()
    for key, value in state(plain).items():
        torch.testing.assert_close(value, state(masked)[key])


@every
@both_modes
@both_policies
def test_masked_latents_pass_and_have_no_influence(name, training, nan_policy) -> None:
    if training and name in NOISY:
        pytest.skip("the noise of the rows kept would differ")
    full, short = (build(name, nan_policy=nan_policy).train(training) for _ in range(2))
    z, keep = latents(40, DIM), torch.arange(40) % 3 > 0
    filled = torch.where(keep[:, None], z.detach(), torch.nan).requires_grad_()
    part = z.detach()[keep].requires_grad_()
    a, b = step(full, filled, keep), step(short, part)
    torch.testing.assert_close(a.values[keep], b.values)
    assert a.values[~keep].isnan().all()
    assert torch.equal(a.indices[keep], b.indices)
    assert not a.indices[~keep].any()
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(filled.grad[keep], part.grad)
    for key, value in state(short).items():
        torch.testing.assert_close(state(full)[key], value)
    bits = full(torch.where(keep[:, None], z.detach(), 7.25), keep).values[~keep]
    assert bits.eq(7.25).all()


# NaN and emptiness ---------------------------------------------------------------------------


@every
@both_modes
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_latents_that_are_not_finite(name, training, bad) -> None:
    z = latents(30, DIM).detach()
    z[[4, 9], [0, 3]] = bad
    strict = build(name).train(training)
    before = state(strict)
    with pytest.raises(ValueError, match="2 of 30 latents"):
        strict(z)
    assert equal(before, state(strict))
    with pytest.raises(ValueError, match="2 latents"):
        build(name, nan_policy="omit").encode(z)


@every
@both_modes
def test_omitted_latents_change_no_other(name, training) -> None:
    if training and name in NOISY:
        pytest.skip("the noise of the rows kept would differ")
    full, short = (build(name, nan_policy="omit").train(training) for _ in range(2))
    z = latents(30, DIM).detach()
    bad = torch.zeros(30, dtype=torch.bool)
    bad[[4, 9]] = True
    z[bad, 3] = torch.nan
    z.requires_grad_()
    part = z.detach()[~bad].requires_grad_()
    a, b = full(z), short(part)
    (a.values[~bad].square().sum() + a.loss).backward()
    (b.values.square().sum() + b.loss).backward()
    torch.testing.assert_close(a.values[~bad], b.values)
    assert a.values[bad].isnan().all()
    assert torch.equal(a.indices[~bad], b.indices)
    assert not a.indices[bad].any()
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(z.grad[~bad], part.grad)
    assert not z.grad[bad].any()
    for key, value in state(short).items():
        torch.testing.assert_close(state(full)[key], value)


@every
def test_huge_finite_latents_are_not_refused(name) -> None:
    z = torch.full((4, DIM), 1e38)
    for nan_policy in ("raise", "omit"):
        layer = build(name, nan_policy=nan_policy).eval()
        depth = () if layer.n_indices is None else (layer.n_indices,)
        assert layer(z).indices.shape == (4, *depth)


@every
@both_modes
@pytest.mark.parametrize("shape", [(0, DIM), (0, DIM, 4), (3, DIM, 0)])
def test_empty_batch(name, training, shape) -> None:
    layer, z = build(name).train(training), latents(*shape)
    codebook = layer.codebook.detach().clone()
    found = layer(z)
    assert (found.values.shape, float(found.loss.detach())) == (shape, 0)
    (found.values.sum() + found.loss).backward()
    assert z.grad.shape == shape
    assert torch.equal(layer.eval().codebook, codebook)


@every
@both_modes
def test_batch_that_is_masked_whole(name, training) -> None:
    layer, z = build(name).train(training), latents(5, DIM)
    codebook = layer.codebook.detach().clone()
    found = layer(z, torch.zeros(5, dtype=torch.bool))
    assert torch.equal(found.values, z)
    assert float(found.loss.detach()) == 0
    (found.values.sum() + found.loss).backward()
    torch.testing.assert_close(z.grad, torch.ones_like(z))
    assert torch.equal(layer.eval().codebook, codebook)


# precision -----------------------------------------------------------------------------------


@every
@both_modes
def test_float64_is_computed_in_float64(name, training) -> None:
    z = latents(40, DIM, dtype=torch.float64)
    layer = build(name).train(training)
    wide = copy.deepcopy(layer).double()
    a, b = step(layer, z), step(wide, z)
    assert a.values.dtype == b.values.dtype == a.loss.dtype == b.loss.dtype == torch.float64
    torch.testing.assert_close(a.values, b.values, rtol=1e-6, atol=1e-6)
    near = torch.tensor([[1.0] * DIM, [1.0 + 1e-6] * DIM], dtype=torch.float64)
    if "table" in dict(wide.named_parameters()) or name in MOVING:
        with torch.no_grad():
            wide.eval()._put(torch.arange(len(wide.table)) < 2, near)
        assert wide(near).indices.reshape(2, -1)[:, 0].tolist() == [0, 1]


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_and_low_precision_do_not_change_assignments(name, dtype) -> None:
    layer, z = build(name), latents(300, DIM).detach()
    plain = copy.deepcopy(layer)
    torch.manual_seed(3)
    expected = plain(z)
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype):
        found = layer(z)
        code = layer.encode(z)
    assert torch.equal(found.indices, expected.indices)
    assert torch.equal(found.values, expected.values)
    assert torch.equal(found.loss, expected.loss)
    assert equal(state(layer), state(plain))
    assert code.dtype == "float32"
    low = z.to(dtype)
    a, b = layer.eval()(low), layer(low.float())
    assert a.values.dtype == dtype
    assert torch.equal(a.indices, b.indices)
    assert torch.equal(a.values, b.values.to(dtype))
    assert a.loss.dtype == torch.float32


@every
def test_offset_does_not_blur_assignments(name) -> None:
    if name in ("residual", "finite-scalar", "sim"):
        pytest.skip("no codebook that follows an offset as a whole")
    if name in ("soft-convex-relaxed", "soft-convex-alternating"):
        pytest.skip("the minimum without constraints depends on the origin")
    more = {"relative": False} if name == "soft-convex" else {}  # its scale is |C|, with the offset
    layer, z = build(name, **more), latents(200, DIM).detach()
    expected = layer.eval()(z).indices
    with torch.no_grad():
        layer._put(torch.ones(CODES, dtype=torch.bool), layer.codebook + 1000)
    assert (layer(z + 1000).indices == expected).float().mean() > 0.99


# compilation ---------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(("training", "nan_policy"), [(True, "raise"), (False, "omit")])
def test_compiled_in_one_graph(name, training, nan_policy) -> None:
    torch._dynamo.reset()
    eager = build(name, nan_policy=nan_policy).train(training)
    layer = copy.deepcopy(eager)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    mask = torch.arange(60) % 4 > 0
    for seed in range(2):
        z = latents(60, DIM, seed=seed)
        other = z.detach().clone().requires_grad_()
        a = step(eager, z, mask)
        torch.manual_seed(5)
        b = compiled(other, mask)
        layer.zero_grad()
        (b.values.square().sum() + b.loss).backward()
        descend(layer)
        same(a, b)
        torch.testing.assert_close(z.grad, other.grad, rtol=1e-4, atol=1e-5)
    for key, value in state(eager).items():
        torch.testing.assert_close(state(layer)[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["nearest", "residual"])
def test_compiled_layer_refuses_nan(name) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(build(name).eval(), fullgraph=True, backend="aot_eager")
    with pytest.raises(RuntimeError, match="NaN or infinity"):
        compiled(torch.full((3, DIM), torch.nan))


@pytest.mark.parametrize(
    ("name", "nan_policy"), [*((name, "raise") for name in METHODS), ("nearest-ema", "omit")]
)
def test_exported_in_eval(name, nan_policy) -> None:
    layer, z = build(name, nan_policy=nan_policy).eval(), latents(12, DIM, 3).detach()
    batch = torch.export.Dim("batch", min=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(layer, (z,), dynamic_shapes=({0: batch},))
        module = program.module()
    for n in (12, 5):
        found, expected = module(z[:n]), layer(z[:n])
        assert torch.equal(found[1], expected.indices)
        torch.testing.assert_close(found[0], expected.values)


# activation checkpointing and memory ---------------------------------------------------------


@every
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_activation_checkpointing(name, use_reentrant) -> None:
    plain = build(name)
    layer = copy.deepcopy(plain)
    for seed in range(3):
        z = latents(50, DIM, seed=seed)
        other = z.detach().clone().requires_grad_()
        losses = []
        for module, x in ((plain, z), (layer, other)):
            torch.manual_seed(6)
            module.zero_grad()

            def block(t, module=module):
                found = module(t * 2)
                return found.values, found.loss, found.indices

            values, loss, indices = (
                block(x) if module is plain else checkpoint(block, x, use_reentrant=use_reentrant)
            )
            if module is plain:
                expected = indices
            (values.square().sum() + loss).backward()
            losses.append(loss.detach())
            descend(module)
        assert torch.equal(indices, expected)
        assert torch.equal(*losses)
        assert torch.equal(z.grad, other.grad)
    assert equal(state(plain), state(layer))
    assert int(layer.usage_counts.sum()) == 150 * layer.n_levels or name in MIXED


@pytest.mark.parametrize("name", ["nearest", "nearest-ema", "rotation", "affine"])
def test_no_scores_are_kept_for_backward(name) -> None:
    saved = []
    layer, z = build(name), latents(4096, DIM)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.numel()) or t, lambda t: t
    ):
        found = layer(z)
    assert max(saved) <= 4096 * DIM
    (found.values.sum() + found.loss).backward()


@pytest.mark.parametrize("name", MOVING)
def test_two_forwards_before_one_backward(name) -> None:
    layer, z = build(name), latents(30, DIM)
    first, second = layer(z), layer(z + 1)
    (first.values.sum() + second.values.sum() + first.loss + second.loss).backward()
    assert torch.isfinite(z.grad).all()
    assert int(layer.usage_counts.sum()) == 60 * layer.n_levels
