"""The contract of every layer: layouts, modes, round trips, statistics, starts, bad arguments."""

from __future__ import annotations

import copy
import inspect
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from layer_cases import (  # noqa: E402
    CODES,
    DIM,
    HARD,
    MIXED,
    MOVING,
    REPLACEABLE,
    SOFT,
    build,
    decoded,
    equal,
    latents,
    state,
    step,
)

from solvq.code import Code  # noqa: E402
from solvq.vector import METHODS, Quantized  # noqa: E402

every = pytest.mark.parametrize("name", METHODS)
hard = pytest.mark.parametrize("name", HARD)
one_index_a_level = pytest.mark.parametrize("name", sorted(set(METHODS) - {"soft-convex-sparse"}))
soft = pytest.mark.parametrize("name", sorted(SOFT))
replaceable = pytest.mark.parametrize("name", REPLACEABLE)


def error(layer, z) -> float:
    """Mean squared quantization error outside training."""
    return float((copy.deepcopy(layer).eval()(z).values - z).detach().square().mean())


@every
@pytest.mark.parametrize("shape", [(7, DIM), (2, DIM, 5), (2, DIM, 3, 4), (2, DIM, 2, 3, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_shapes_and_dtypes(name, shape, training) -> None:
    layer, z = build(name).train(training), latents(*shape)
    found = layer(z)
    lead = shape[:1] + shape[2:]
    assert isinstance(found, Quantized)
    assert (found.values.shape, found.values.dtype) == (z.shape, z.dtype)
    depth = () if layer.n_indices is None else (layer.n_indices,)
    assert (found.indices.shape, found.indices.dtype) == (lead + depth, torch.int64)
    assert found.loss.shape == ()
    assert (found.weights is None) == (name not in SOFT)
    if found.weights is not None:
        assert found.weights.shape == (*lead, *(depth or (CODES,)))
        torch.testing.assert_close(found.weights.sum(-1), torch.ones(lead))


@every
def test_spatial_layout_is_rows(name) -> None:
    layer, z = build(name).eval(), latents(2, DIM, 3, 4)
    found, flat = layer(z), layer(z.movedim(1, -1).reshape(-1, DIM))
    assert torch.equal(found.values.movedim(1, -1).reshape(-1, DIM), flat.values)
    assert torch.equal(found.indices.reshape(flat.indices.shape), flat.indices)
    torch.testing.assert_close(found.loss, flat.loss)


@every
def test_one_by_one_is_the_batch(name) -> None:
    layer, z = build(name).eval(), latents(40, DIM)
    whole, parts = layer(z), [layer(row[None]) for row in z]
    assert torch.equal(torch.cat([p.indices for p in parts]), whole.indices)
    torch.testing.assert_close(torch.cat([p.values for p in parts]), whole.values)
    torch.testing.assert_close(torch.stack([p.loss for p in parts]).mean(), whole.loss)


@every
def test_chunks_do_not_change_the_result(name, monkeypatch) -> None:
    layer, z = build(name).eval(), latents(1000, DIM)
    whole = layer(z).indices
    monkeypatch.setattr("solvq.vector._distance.SCORES", 1)  # chunks of 128 rows
    assert torch.equal(layer(z).indices, whole)


@hard
def test_hard_layers_choose_the_nearest(name) -> None:
    if name in ("residual", "finite-scalar"):
        pytest.skip("greedy by level, or by rounding")
    layer, z = build(name).eval(), latents(200, DIM)
    distances = torch.cdist(z.double(), layer.codebook.double())
    assert torch.equal(layer(z).indices, distances.argmin(1))


@every
@pytest.mark.parametrize("shape", [(30, DIM), (2, DIM, 3, 5)])
def test_indices_and_codes_give_the_values(name, shape) -> None:
    layer, z = build(name).eval(), latents(*shape)
    found = layer(z)
    torch.testing.assert_close(decoded(layer, found), found.values, rtol=0, atol=1e-6)
    assert name in MIXED or torch.equal(layer.decode(found.indices), found.values)
    code = layer.encode(z)
    assert isinstance(code, Code)
    torch.testing.assert_close(layer.decode(code), found.values, rtol=0, atol=1e-6)
    assert code.shape == found.values.movedim(1, -1).shape
    assert name in MIXED or layer.rate.nominal == math.log2(CODES) * layer.n_levels


@hard
def test_indices_of_a_training_forward_give_its_values(name) -> None:
    layer = build(name)
    for seed in range(3):
        z = latents(50, DIM, seed=seed)
        found = layer(z)
        assert torch.equal(layer.decode(found.indices), found.values)
        step(layer, z)


@every
def test_resuming_is_continuing(name) -> None:
    through, start = build(name), build(name)
    for seed in range(6):
        step(through, latents(60, DIM, seed=seed))
    for seed in range(3):
        step(start, latents(60, DIM, seed=seed))
    resumed = METHODS[name](DIM, CODES)
    resumed.load_state_dict(state(start))
    for seed in range(3, 6):
        step(resumed, latents(60, DIM, seed=seed))
    assert equal(state(through), state(resumed))


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("eval_first", [True, False])
def test_a_state_with_pending_statistics_loads_into_eval(name, eval_first) -> None:
    layer, other = build(name), METHODS[name](DIM, CODES)
    before = layer.codebook.clone()
    layer(latents(60, DIM))
    assert torch.equal(layer.codebook, before)
    if eval_first:
        other.eval()
    other.load_state_dict(state(layer))
    assert equal(state(other.eval()), state(layer.eval()))
    assert not torch.equal(layer.codebook, before)


@every
def test_eval_has_no_side_effects(name) -> None:
    layer = build(name, started=False)
    step(layer, latents(60, DIM))
    layer.eval()
    before, random = state(layer), torch.get_rng_state()
    first, second = layer(latents(50, DIM, seed=3)), layer(latents(50, DIM, seed=3))
    layer.encode(latents(20, DIM))
    assert equal(before, state(layer))
    assert torch.equal(random, torch.get_rng_state())
    assert torch.equal(first.values, second.values)


@every
def test_training_forwards_do_not_initialise(name) -> None:
    layer = build(name, started=False)
    before = layer.codebook.detach().clone()
    layer(latents(60, DIM))
    assert torch.equal(before, layer.codebook)


@every
def test_encode_changes_nothing_in_training(name) -> None:
    layer = build(name)
    layer(latents(60, DIM))
    before = state(layer)
    code = layer.encode(latents(20, DIM))
    assert equal(before, state(layer))
    assert layer.training
    np.testing.assert_array_equal(code.codebook, layer.codebook.detach().numpy())


@one_index_a_level
def test_usage_against_numpy(name) -> None:
    layer = build(name)
    found = [step(layer, latents(70, DIM, seed=seed)) for seed in range(3)]
    indices = np.concatenate([f.indices.numpy().reshape(70, -1) for f in found])
    entropies = []
    for level in indices.T:
        share = np.bincount(level, minlength=CODES) / len(level)
        entropies.append(-sum(p * np.log(p) for p in share if p))
    used = np.mean([len(set(level)) / CODES for level in indices.T])
    report = layer.usage()
    assert report.hard_perplexity == pytest.approx(np.exp(np.mean(entropies)))
    assert report.used == pytest.approx(used)
    assert name in MIXED or layer.rate.entropy == pytest.approx(sum(entropies) / np.log(2))
    if name in SOFT:
        mean = np.concatenate([f.weights.detach().numpy() for f in found]).clip(0).mean(0)
        mean = mean[mean > 0] / mean.sum()
        assert report.soft_perplexity == pytest.approx(
            np.exp(-(mean * np.log(mean)).sum()), rel=1e-5
        )
    else:
        assert math.isnan(report.soft_perplexity)
    layer.reset_usage()
    assert all(map(math.isnan, (*layer.usage(), layer.rate.entropy)))


@one_index_a_level
def test_measure_counts_as_eval_assigns(name) -> None:
    layer, z = build(name), latents(100, DIM)
    before = state(layer)
    layer.measure(z, torch.arange(100) < 60)
    counts = layer.usage_counts.view(layer.n_levels, -1)
    indices = copy.deepcopy(layer).eval()(z).indices[:60].reshape(60, -1)
    for level, column in enumerate(indices.T):
        assert torch.equal(counts[level], torch.bincount(column, minlength=CODES))
    for key in before:
        assert key.startswith("usage") or torch.equal(before[key], layer.state_dict()[key])


@every
@pytest.mark.parametrize("scale", [3.0, 100.0])
def test_initialise_lowers_the_error(name, scale) -> None:
    layer, z = build(name, started=False), latents(500, DIM).detach() * scale
    before = error(layer, z)
    layer.initialise(z, torch.Generator().manual_seed(0))
    assert error(layer, z) < 0.8 * before
    assert int(layer.usage_counts.sum()) == 0


@replaceable
def test_initialise_reaches_kmeans(name) -> None:
    sklearn = pytest.importorskip("sklearn.cluster")
    z = latents(600, DIM).detach()
    layer = METHODS[name](DIM, CODES)
    layer.initialise(z, torch.Generator().manual_seed(0))
    best = sklearn.KMeans(CODES, n_init=3, random_state=0).fit(z.numpy()).inertia_ / z.numel()
    assert error(layer, z) < 1.05 * best


@every
@pytest.mark.parametrize("n", [1, 5, CODES])
def test_initialise_from_few_latents(name, n) -> None:
    layer, z = METHODS[name](DIM, CODES), latents(n, DIM).detach()
    layer.initialise(z, torch.Generator().manual_seed(0))
    assert torch.isfinite(layer.codebook).all()
    if name in REPLACEABLE:
        assert error(layer, z) < 1e-6
        assert len(torch.unique(layer.codebook[:CODES], dim=0)) == CODES


@every
def test_initialise_and_revive_follow_the_generator(name) -> None:
    layers = [METHODS[name](DIM, CODES) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    for layer in layers:
        layer.initialise(latents(100, DIM), torch.Generator().manual_seed(4))
        layer.eval().measure(latents(10, DIM))
        if name in REPLACEABLE:
            layer.revive(latents(100, DIM), generator=torch.Generator().manual_seed(4))
    assert equal(state(layers[0]), state(layers[1]))


@replaceable
@pytest.mark.parametrize("threshold", [1, 3])
def test_revive_replaces_exactly_the_dead_codes(name, threshold) -> None:
    layer = build(name)
    step(layer, latents(40, DIM))
    counts = layer._served().clone()
    layer.flush()
    before = layer.codebook.detach().clone()
    fresh = 10 + latents(400, DIM, seed=8).detach()
    dead = layer.revive(fresh, threshold)
    after = layer.codebook.detach()
    assert 0 < int(dead.sum()) < len(dead)
    assert torch.equal(dead, counts < threshold)
    torch.testing.assert_close(after[~dead], before[~dead])
    assert (after[dead] != before[dead]).any(1).all()
    first = after[:CODES][dead[:CODES]]
    assert torch.cdist(first.double(), fresh.double()).amin(1).max() < 1e-5
    assert len(torch.unique(first, dim=0)) == len(first)
    assert int(layer.usage_counts.sum()) == 0
    step(layer, latents(40, DIM))
    layer.eval()
    assert torch.isfinite(layer.codebook).all()


def test_revive_needs_counts_and_codewords() -> None:
    with pytest.raises(ValueError, match="run training forwards"):
        build("nearest").revive(latents(10, DIM))
    for name in set(METHODS) - set(REPLACEABLE):
        with pytest.raises(NotImplementedError, match="leave revive out"):
            build(name).revive(latents(10, DIM))
    for method in ("initialise", "revive"):
        layer = build("nearest")
        layer(latents(5, DIM))
        with pytest.raises(ValueError, match="no latent"):
            getattr(layer, method)(latents(0, DIM))


@every
def test_certificate_of_the_last_forward(name) -> None:
    layer = build(name)
    if not layer.certified:
        assert layer.certificate is None
        return
    assert math.isnan(layer.certificate)
    for z in (latents(90, DIM), latents(0, DIM)):
        layer(z)
        assert 0 <= layer.certificate <= 0.01 * len(z)
    assert "largest_gap" not in layer.state_dict()


@every
def test_bad_latents(name) -> None:
    layer = build(name)
    before = state(layer)
    for bad, kind, match in [
        (np.zeros((3, DIM)), TypeError, "give a floating-point torch.Tensor"),
        (torch.zeros(3, DIM, dtype=torch.int64), TypeError, "torch.int64"),
        (torch.zeros(DIM), ValueError, r"give \(N, 8\)"),
        (torch.zeros(3, 4, DIM), ValueError, r"\(3, 4, 8\)"),
    ]:
        for call in (layer, layer.encode, layer.measure, layer.initialise):
            with pytest.raises(kind, match=match):
                call(bad)
    for mask, kind in [(torch.ones(3), TypeError), (torch.ones(4, dtype=bool), ValueError)]:
        with pytest.raises(kind, match="mask"):
            layer(latents(3, DIM), mask)
    assert equal(before, state(layer))


@every
def test_bad_indices(name) -> None:
    layer = build(name)
    depth = () if layer.n_indices is None else (layer.n_indices,)
    with pytest.raises(TypeError, match=r"solvq\.Code"):
        layer.decode(np.zeros(3, int))
    with pytest.raises(TypeError, match=r"torch\.bool"):
        layer.decode(torch.zeros(3, *depth, dtype=torch.bool))
    for bad in (-1, CODES):
        with pytest.raises(ValueError, match=r"0\.\.31"):
            layer.decode(torch.full((3, *depth), bad))
    with pytest.raises(ValueError, match="give those of a forward"):
        layer.decode(torch.tensor(0))
    empty = torch.zeros(0, *depth, dtype=torch.uint8)
    weights = torch.zeros(0, *(depth or (CODES,))) if name in MIXED else None
    assert layer.decode(empty, weights).shape == (0, DIM)
    with pytest.raises(ValueError, match="weights"):
        layer.decode(empty, torch.zeros(0, 3))
    if name in MIXED:
        with pytest.raises(ValueError, match="mixes codewords"):
            layer.decode(empty)


@every
def test_bad_arguments(name) -> None:
    method = METHODS[name]
    for bad, kind in [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)]:
        with pytest.raises(kind, match="dim"):
            method(bad, CODES)
        with pytest.raises(kind, match="n_codes"):
            method(DIM, bad)
    with pytest.raises(ValueError, match="'raise' or 'omit'"):
        method(DIM, CODES, nan_policy="ignore")
    numbers = [
        key
        for key, parameter in inspect.signature(method).parameters.items()
        if isinstance(parameter.default, float)
    ]
    for key in numbers:
        for bad, kind in [(-100.0, ValueError), (math.inf, ValueError), (math.nan, ValueError)]:
            with pytest.raises(kind, match=key):
                method(DIM, CODES, **{key: bad})
        with pytest.raises(TypeError, match=key):
            method(DIM, CODES, **{key: "1"})
    assert method(np.int64(DIM), np.int32(1))(latents(3, DIM)).indices.eq(0).all()


@every
def test_one_code_and_deepcopy_and_repr(name) -> None:
    layer = copy.deepcopy(build(name))
    assert "n_codes=32" in repr(layer)
    assert METHODS[name](1, 1)(latents(3, 1)).values.shape == (3, 1)
    parameters = inspect.signature(METHODS[name]).parameters
    assert all(key in inspect.getdoc(METHODS[name]) for key in parameters)
