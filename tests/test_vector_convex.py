"""The soft convex layers against the functions, twins by enumeration, and their own accounts."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import vector_oracles as oracles  # noqa: E402
from layer_cases import CODES, DIM, MIXED, build, decoded, latents, state, step  # noqa: E402

import solvq  # noqa: E402
from solvq import vector  # noqa: E402
from solvq.vector import METHODS  # noqa: E402

SPARSE = "soft-convex-sparse"
CONVEX = sorted(MIXED - {SPARSE})
convex = pytest.mark.parametrize("name", CONVEX)
mixed = pytest.mark.parametrize("name", sorted(MIXED))
FUNCTIONS = {
    "soft-convex": vector.soft_convex,
    "soft-convex-relaxed": vector.soft_convex_relaxed,
    "soft-convex-alternating": vector.soft_convex_alternating,
    "soft-convex-local": vector.soft_convex_local,
}


# weights that are real numbers


@convex
@pytest.mark.parametrize("training", [True, False])
def test_layer_is_the_function(name, training) -> None:
    layer, z = build(name, alpha=0.05).train(training), latents(2, DIM, 3, 5)
    if layer.certified:
        layer.tol = 1e-6
    found = layer(z)
    rows = z.movedim(1, -1).reshape(-1, DIM)
    values, weights = FUNCTIONS[name](rows, layer.codebook, 0.05)
    torch.testing.assert_close(found.values.movedim(1, -1).reshape(-1, DIM), values)
    torch.testing.assert_close(found.weights.reshape(-1, CODES), weights)
    assert torch.equal(found.indices.flatten(), weights.argmax(1))
    torch.testing.assert_close(found.loss, 0.25 * (values - rows).square().mean())


def test_methods_and_functions_are_the_same_list() -> None:
    assert list(FUNCTIONS) == sorted(FUNCTIONS, key=list(METHODS).index)
    assert set(FUNCTIONS) == set(CONVEX)


@convex
def test_gradients_of_the_layer(name) -> None:
    """Of values and loss, to latents and codewords, by finite differences."""
    more = {} if name == "soft-convex-local" else {"relative": False}  # no gradient to the scale
    layer = METHODS[name](3, 6, **more).double()
    if layer.certified:
        layer.tol = 0
    z, codebook, _ = oracles.leaves((4, 3, 6))

    def run(z, table):
        found = torch.func.functional_call(layer, {"table": table}, (z,))
        return found.values, found.loss

    loose = {"rtol": 1e-2, "atol": 1e-4} if name == "soft-convex-local" else {}
    assert torch.autograd.gradcheck(run, (z, codebook), **loose)


def test_certificate_bounds_the_excess() -> None:
    layer, z = build("soft-convex", alpha=0.01, tol=0.3).double().eval(), latents(300, DIM).double()
    found = layer(z)
    words = layer.codebook.detach()
    penalty = oracles.penalty_of(float(layer.alpha), words)
    value = oracles.objective(z, words, penalty, found.weights)
    least = oracles.objective(z, words, penalty, oracles.exact(z, words, float(layer.alpha)))
    excess = float((value - least).detach().max())
    assert 1e-9 < excess <= layer.certificate
    tight = build("soft-convex", alpha=0.01, tol=1e-9).double().eval()
    tight(z)
    assert tight.certificate < layer.certificate


def test_alpha_absolute_or_relative_and_on_a_schedule() -> None:
    z = latents(50, DIM)
    relative, absolute = build("soft-convex"), build("soft-convex", relative=False)
    absolute.load_state_dict(relative.state_dict())
    absolute.alpha.mul_(oracles.penalty_of(1.0, relative.codebook.detach()))
    torch.testing.assert_close(relative(z).weights, absolute(z).weights, rtol=1e-3, atol=1e-3)
    relative.alpha.fill_(1e8)
    nearest = torch.cdist(z, relative.codebook).argmin(1)
    torch.testing.assert_close(relative(z).values, relative.codebook[nearest])
    assert float(METHODS["soft-convex"](DIM, CODES).alpha) == pytest.approx(0.1)
    resumed = METHODS["soft-convex"](DIM, CODES)
    resumed.load_state_dict(relative.state_dict())
    assert float(resumed.alpha) == 1e8


@convex
def test_rate_counts_real_weights(name) -> None:
    layer, z = build(name).eval(), latents(90, DIM)
    layer.measure(z)
    sizes = (layer(z).weights != 0).sum(1).tolist()
    bits = [min(32 * DIM, math.log2(math.comb(CODES, s)) + 32 * (s - 1)) for s in sizes]
    assert layer.rate.nominal == 32 * min(DIM, CODES - 1)
    assert layer.rate.entropy == pytest.approx(np.mean(bits), rel=1e-5)
    assert METHODS[name](100, 4).rate.nominal == pytest.approx(96)
    layer.reset_usage()
    assert math.isnan(layer.rate.entropy)


@mixed
def test_no_collapse_of_the_sum(name) -> None:
    """Weights sum to 1, and are on the simplex but for the steps the paper prints."""
    found = build(name)(3 * latents(200, DIM))
    torch.testing.assert_close(found.weights.sum(1), torch.ones(200), rtol=0, atol=1e-5)
    assert name == "soft-convex-alternating" or bool((found.weights >= 0).all())


@mixed
def test_start_widens_the_hull(name) -> None:
    """K-means centres leave latents outside their hull; the start moves codewords out to them."""
    z = latents(400, 2).detach()
    layer, centres = METHODS[name](2, 12), METHODS["nearest"](2, 12)
    layer.initialise(z, torch.Generator().manual_seed(3))
    centres.initialise(z, torch.Generator().manual_seed(3))
    with torch.no_grad():
        error = float((layer.eval()(z).values - z).square().mean())
        layer.table.copy_(centres.table)
        before = float((layer(z).values - z).square().mean())
    assert (
        error
        < (0.95 if name in ("soft-convex-relaxed", "soft-convex-alternating") else 0.5) * before
    )


@mixed
def test_revive_looks_at_weights(name) -> None:
    layer = build(name)
    with torch.no_grad():
        layer.table[5] = 1e3
    layer.eval().measure(latents(300, DIM))
    served = layer.usage_weights.clone()
    dead = layer.revive(latents(100, DIM))
    assert torch.equal(dead, served < 1)
    assert dead[5]
    assert layer.codebook[5].abs().max() < 10


# the discrete code


def best_pair(z, words, levels) -> float:
    """Least squared error of two codewords and a weight from the table, by trying all."""
    tries = [
        ((1 - t) * words[i] + t * words[j] - z).square().sum()
        for i, j in itertools.permutations(range(len(words)), 2)
        for t in levels
    ]
    return float(min(tries))


@pytest.mark.parametrize("n_values", [1, 4, 16])
def test_two_codewords_come_near_the_best_pair(n_values) -> None:
    layer, z = METHODS[SPARSE](4, 8, n_values=n_values), latents(60, 4).detach()
    layer.initialise(z, torch.Generator().manual_seed(0))
    words = layer.codebook.detach()
    ours = (layer.eval()(z).values - z).square().sum(1)
    best = torch.tensor([best_pair(row, words, layer.levels) for row in z])
    assert (ours >= best - 1e-5).all()
    assert float(ours.mean()) < 1.1 * float(best.mean())


def test_more_codewords_never_hurt_much_and_one_is_nearest() -> None:
    z = latents(300, DIM).detach()
    words = build("nearest").codebook.detach()
    errors = []
    for n_nonzero in (1, 2, 3, 5):
        layer = METHODS[SPARSE](DIM, CODES, n_nonzero, n_values=64).eval()
        with torch.no_grad():
            layer.table.copy_(words)
        found = layer(z)
        assert found.indices.shape == found.weights.shape == (300, n_nonzero)
        assert (found.weights[:, 1:] <= 0.5).all()
        errors.append(float((found.values.detach() - z).square().mean()))
    assert errors[0] == pytest.approx(float(torch.cdist(z, words).square().amin(1).mean() / DIM))
    assert all(later < 0.95 * earlier for earlier, later in itertools.pairwise(errors))
    exact = float((vector.soft_convex(z, words, 1e-6)[0] - z).square().mean())
    assert exact < errors[-1] < 1.1 * exact


def test_sparse_weights_are_of_the_table_and_codes_hold_everything() -> None:
    layer, z = build(SPARSE, n_nonzero=3, n_values=8).eval(), latents(2, DIM, 6, 5)
    found, code = layer(z), layer.encode(z)
    rest = found.weights[..., 1:]
    assert torch.isin(rest, layer.levels).all()
    repeats = found.indices[..., 1:] == found.indices[..., :1]
    assert torch.equal(rest == 0, repeats)
    assert code.indices.shape == (2, 6, 5, 3)
    assert code.weights is not None
    torch.testing.assert_close(layer.decode(code), found.values, rtol=0, atol=1e-6)
    torch.testing.assert_close(decoded(layer, found), found.values, rtol=0, atol=1e-6)


def test_rate_of_the_sparse_code() -> None:
    layer = build(SPARSE, n_nonzero=3, n_values=8)
    bits = math.log2(CODES) + math.log2(math.comb(CODES - 1, 2)) + 2 * 3
    assert layer.rate.nominal == pytest.approx(bits)
    found = [step(layer, latents(80, DIM, seed=seed)) for seed in range(3)]
    indices = torch.cat([f.indices for f in found])
    weights = torch.cat([f.weights for f in found])
    others = weights[:, 1:] > 0

    def entropy(symbols) -> float:
        share = torch.unique(symbols, return_counts=True)[1].double() / symbols.numel()
        return float(-(share * share.log2()).sum())

    expected = entropy(indices[:, 0]) + 2 * entropy(weights[:, 1:])
    expected += entropy(indices[:, 1:][others]) * int(others.sum()) / 240
    assert layer.rate.entropy == pytest.approx(expected)
    used = torch.cat([indices[:, 0], indices[:, 1:][others]])
    assert torch.equal(layer.usage_counts, torch.bincount(used, minlength=CODES))
    assert layer.usage().used == len(torch.unique(used)) / CODES


def test_the_scalar_half_makes_the_table_of_weights() -> None:
    layer, z = build(SPARSE, n_values=4), latents(2000, DIM, seed=4).detach()
    wide = METHODS[SPARSE](DIM, CODES, n_values=256).eval()
    wide.load_state_dict({**state(wide), "table": layer.table.detach()})
    before = float((layer.eval()(z).values.detach() - z).square().mean())
    weights = wide(z).weights[:, 1:]
    layer.set_levels(solvq.quantize(weights.numpy(), n_values=4).codebook)
    assert float((layer(z).values.detach() - z).square().mean()) < before


def test_bad_arguments_of_the_sparse_layer() -> None:
    method = METHODS[SPARSE]
    for bad in (0, CODES + 1):
        with pytest.raises(ValueError, match="n_nonzero"):
            method(DIM, CODES, bad)
    layer = method(DIM, CODES, n_values=3)
    before = state(layer)
    for bad in ([0, 0.1], [0, 0.2, 0.6], [-0.1, 0, 0.5], [0, math.nan, 0.5], [[0, 0.1, 0.2]]):
        with pytest.raises(ValueError, match="levels"):
            layer.set_levels(bad)
    with pytest.raises(ValueError, match="smallest times 3"):
        method(DIM, CODES, 4, n_values=2).set_levels([0.4, 0.5])
    assert torch.equal(before["levels"], layer.levels)


@mixed
def test_states_of_other_layers_are_refused(name) -> None:
    layer = build(name)
    other = METHODS[name](DIM, CODES + 1)
    with pytest.raises(RuntimeError, match="table"):
        layer.load_state_dict(other.state_dict())
    with pytest.raises(RuntimeError, match="usage_counts"):
        layer.load_state_dict({"table": torch.zeros(CODES, DIM)})
    newer = copy.deepcopy(layer.state_dict())
    newer._metadata[""]["version"] = 99
    with pytest.raises(RuntimeError, match="newer solvq"):
        layer.load_state_dict(newer)
