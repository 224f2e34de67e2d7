"""Each vector quantizer against its definition: losses, gradients, moving averages, grids."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from layer_cases import CODES, DIM, MIXED, build, latents, step  # noqa: E402

from solvq.vector import (  # noqa: E402
    METHODS,
    AffineQuantizer,
    FiniteScalarQuantizer,
    GumbelQuantizer,
    NearestEmaQuantizer,
    NearestQuantizer,
    ResidualQuantizer,
    StochasticQuantizer,
)
from solvq.vector._finite_scalar import default_levels  # noqa: E402

STRAIGHT = ["nearest", "nearest-ema", "residual", "affine", "sim"]
EMA = ["nearest-ema", "rotation", "residual"]


def flow(layer, z, weights=None):
    """Gradient to z of the values alone, for an incoming gradient (ones by default)."""
    values = layer(z).values
    incoming = torch.ones_like(values) if weights is None else weights
    return torch.autograd.grad(values, z, incoming)[0]


@pytest.mark.parametrize("name", STRAIGHT)
@pytest.mark.parametrize("training", [True, False])
def test_straight_through_is_the_identity(name, training) -> None:
    z, incoming = latents(20, DIM), torch.randn(20, DIM)
    assert torch.equal(flow(build(name).train(training), z, incoming), incoming)


@pytest.mark.parametrize("name", ["gumbel", "stochastic"])
def test_soft_layers_are_straight_through_in_eval(name) -> None:
    z, incoming = latents(20, DIM), torch.randn(20, DIM)
    assert torch.equal(flow(build(name).eval(), z, incoming), incoming)


@pytest.mark.parametrize("name", METHODS)
def test_values_pull_codewords_only_where_there_is_no_estimator(name) -> None:
    layer = build(name)
    layer(latents(30, DIM)).values.square().sum().backward()
    pulled = {key for key, p in layer.named_parameters() if p.grad is not None and p.grad.any()}
    expected = {
        **{key: {"table"} for key in MIXED - {"soft-convex-sparse"}},
        "gumbel": {"table"},
        "stochastic": {"table", "log_variance"},
        "finite-scalar": {"inward.weight", "inward.bias", "outward.weight", "outward.bias"},
    }
    assert pulled == expected.get(name, set())


def test_rotation_is_the_constant_map_that_gives_the_value() -> None:
    layer, z = build("rotation").double(), latents(6, DIM, dtype=torch.float64)
    values = layer(z).values
    jacobian = torch.stack(
        [torch.autograd.grad(values[:, i].sum(), z, retain_graph=True)[0] for i in range(DIM)], 1
    )
    torch.testing.assert_close((jacobian @ z[..., None])[..., 0], values)
    scale = values.norm(dim=1) / z.norm(dim=1)
    eye = torch.eye(DIM, dtype=torch.float64).expand(6, -1, -1)
    turn = jacobian / scale[:, None, None]
    torch.testing.assert_close(turn @ turn.mT, eye)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(6, dtype=torch.float64))


def test_rotation_of_zero_and_of_an_opposite() -> None:
    layer = METHODS["rotation"](2, 2).eval()
    with torch.no_grad():
        layer._put(torch.tensor([True, True]), torch.tensor([[-1.0, 0.0], [-9.0, 0.0]]))
    z = torch.tensor([[0.0, 0.0], [0.5, 0.0]], requires_grad=True)
    gradient = flow(layer, z, torch.ones(2, 2))
    assert gradient[0].tolist() == [1.0, 1.0]
    assert gradient[1].abs().tolist() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("name", ["nearest", "affine", "sim"])
def test_two_sided_loss_and_its_gradients(name) -> None:
    layer, z = build(name, beta=0.3), latents(40, DIM)
    found = layer(z)
    found.loss.backward()
    twin = copy.deepcopy(layer)
    twin.zero_grad()
    chosen, other = twin.codebook[found.indices], z.detach().clone().requires_grad_()
    loss = (chosen - other.detach()).square().mean() + 0.3 * (
        chosen.detach() - other
    ).square().mean()
    loss.backward()
    torch.testing.assert_close(found.loss, loss)
    torch.testing.assert_close(z.grad, other.grad)
    for a, b in zip(layer.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
        assert a.grad.any()


@pytest.mark.parametrize("name", ["nearest-ema", "rotation"])
def test_commitment_loss(name) -> None:
    layer, z = build(name, beta=0.3), latents(40, DIM)
    found = layer(z)
    found.loss.backward()
    gap = z.detach() - layer.codebook[found.indices]
    torch.testing.assert_close(found.loss, 0.3 * gap.square().mean())
    torch.testing.assert_close(z.grad, 0.6 * gap / z.numel())


@pytest.mark.parametrize("name", EMA)
def test_moving_averages_against_numpy(name) -> None:
    layer = build(name, decay=0.9)
    table = layer.table.double().numpy().copy()
    counts, sums = layer.ema_counts.double().numpy().copy(), layer.ema_sums.double().numpy().copy()
    for seed in range(4):
        z = latents(50, DIM, seed=seed)
        indices = layer(z).indices.numpy().reshape(50, -1)
        left = z.detach().double().numpy()
        for level in range(layer.n_levels):
            part = slice(level * CODES, (level + 1) * CODES)
            hot = np.eye(CODES)[indices[:, level]]
            counts[part] = 0.9 * counts[part] + 0.1 * hot.sum(0)
            sums[part] = 0.9 * sums[part] + 0.1 * hot.T @ left
            left = left - table[part][indices[:, level]]
        for level in range(layer.n_levels):
            part = slice(level * CODES, (level + 1) * CODES)
            total = counts[part].sum()
            smooth = (counts[part] + 1e-5) / (total + CODES * 1e-5) * total
            table[part] = sums[part] / smooth[:, None]
    layer.flush()
    np.testing.assert_allclose(layer.codebook.numpy(), table, rtol=1e-4, atol=1e-5)
    again = layer.codebook.clone()
    layer.flush()
    assert torch.equal(layer.codebook, again)


def test_decay_of_one_and_of_zero() -> None:
    z = latents(300, DIM)
    still, quick = NearestEmaQuantizer(DIM, 4, decay=1.0), NearestEmaQuantizer(DIM, 4, decay=0.0)
    before = still.codebook.clone()
    still(z), still.flush()
    torch.testing.assert_close(still.codebook, before, rtol=1e-4, atol=1e-5)
    indices = quick(z).indices
    quick.flush()
    for j in indices.unique():
        torch.testing.assert_close(quick.codebook[j], z[indices == j].mean(0), rtol=1e-3, atol=1e-4)


def test_residual_is_greedy_and_its_loss_the_mean_over_levels() -> None:
    layer, z = build("residual", beta=1.0), latents(40, DIM)
    found = layer(z)
    left, partial, losses = z.detach(), torch.zeros(40, DIM), []
    for level, words in enumerate(layer.codebook.view(4, CODES, DIM)):
        assert torch.equal(
            found.indices[:, level], torch.cdist(left.double(), words.double()).argmin(1)
        )
        chosen = words[found.indices[:, level]]
        left, partial = left - chosen, partial + chosen
        losses.append((z - partial).square().mean())
    torch.testing.assert_close(found.values, partial)
    torch.testing.assert_close(found.loss, torch.stack(losses).mean())
    errors = [float(e.detach()) for e in losses]
    assert errors == sorted(errors, reverse=True)


def test_depth_of_one_is_the_plain_layer() -> None:
    plain, residual = build("nearest-ema"), ResidualQuantizer(DIM, CODES, depth=1)
    residual.load_state_dict(plain.state_dict())
    z = latents(40, DIM)
    a, b = plain(z), residual(z)
    assert torch.equal(a.values, b.values)
    assert torch.equal(a.indices[:, None], b.indices)
    assert residual.decode(b.indices).shape == (40, DIM)
    with pytest.raises(ValueError, match="depth"):
        ResidualQuantizer(DIM, CODES, depth=0)


def test_gumbel_follows_its_definition() -> None:
    layer, z = build("gumbel", tau=0.5, kl_weight=1.0), latents(30, DIM)
    torch.manual_seed(0)
    found = layer(z)
    torch.manual_seed(0)
    logits = -torch.cdist(z, layer.codebook).square()
    noise = -torch.empty_like(logits).exponential_().log()
    weights = torch.softmax((logits + noise) / 0.5, 1)
    torch.testing.assert_close(found.weights, weights, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.values, weights @ layer.codebook, rtol=1e-3, atol=1e-5)
    q = logits.softmax(1)
    torch.testing.assert_close(found.loss, (q * (q * CODES).log()).sum(1).mean())
    layer.tau.fill_(1e-4)
    cold = layer(z)
    torch.testing.assert_close(cold.values, layer.decode(cold.indices), rtol=1e-3, atol=1e-3)
    settled = layer.eval()(z)
    torch.testing.assert_close(settled.weights, q, rtol=1e-3, atol=1e-5)
    assert torch.equal(settled.indices, logits.argmax(1))


def test_gumbel_draws_with_the_probabilities_of_its_logits() -> None:
    layer = GumbelQuantizer(1, 2).train()
    with torch.no_grad():
        layer.table.copy_(torch.tensor([[0.0], [1.0]]))
    torch.manual_seed(0)
    share = layer(torch.zeros(20000, 1)).indices.float().mean()
    assert float(share) == pytest.approx(1 / (1 + math.e), abs=0.01)


def test_stochastic_follows_its_definition() -> None:
    layer, z = StochasticQuantizer(DIM, CODES, anneal=0.5, log_variance=0.7), latents(30, DIM)
    layer.initialise(latents(200, DIM))
    for t in range(3):
        torch.manual_seed(t)
        found = layer(z)
        torch.manual_seed(t)
        precision = 1 / (2 * math.exp(0.7))
        logits = -torch.cdist(z, layer.codebook).square() * precision
        noise = -torch.empty_like(logits).exponential_().log()
        weights = torch.softmax((logits + noise) / math.exp(-0.5 * t), 1)
        values, p = weights @ layer.codebook, logits.softmax(1)
        torch.testing.assert_close(found.values, values, rtol=1e-3, atol=1e-4)
        loss = (p * p.log()).sum(1) + (z - values).square().sum(1) * precision
        torch.testing.assert_close(found.loss, loss.mean(), rtol=1e-4, atol=1e-4)
    layer.eval()
    assert int(layer.step) == 3


@pytest.mark.parametrize("name", ["gumbel", "stochastic"])
def test_gradients_of_soft_layers_against_differences(name) -> None:
    layer, z = build(name).double(), latents(4, DIM, dtype=torch.float64)
    layer.anneal = 0.0  # each forward is a step of the schedule

    def loss(x, table):
        torch.manual_seed(0)
        found = torch.func.functional_call(layer, {"table": table}, (x,))
        return found.values.sin().sum() + found.loss

    table = layer.table.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (z, table), atol=1e-4)


def test_affine_takes_the_inner_step_of_autograd() -> None:
    layer, z = build("affine", scale=0.5, inner_lr=0.7), latents(60, DIM).detach()
    with torch.no_grad():
        layer.slope.normal_()
        layer.shift.normal_()
    table = layer.table.clone().requires_grad_()
    found = layer(z)
    words = (1 + 0.5 * layer.slope) * table + 0.5 * layer.shift
    loss = 0.5 * (z - words[found.indices]).square().sum(1).mean()
    (gradient,) = torch.autograd.grad(loss, table)
    assert torch.equal(layer.table, table)
    layer.flush()
    torch.testing.assert_close(layer.table, table.detach() - 0.7 * gradient)
    with torch.no_grad():
        layer._put(torch.arange(CODES) == 3, z[:1])
    torch.testing.assert_close(layer.codebook[3], z[0])


def test_affine_map_moves_codes_that_no_latent_chose() -> None:
    layer = AffineQuantizer(DIM, CODES)
    z = latents(50, DIM).detach() + 5
    before = layer.codebook.detach().clone()
    chosen = layer(z).indices
    step(layer, z)
    idle = ~torch.isin(torch.arange(CODES), chosen)
    assert idle.any()
    assert (layer.codebook.detach()[idle] != before[idle]).any(1).all()


@pytest.mark.parametrize(
    ("n_codes", "levels"),
    [(1, (1,)), (7, (7,)), (16, (4, 4)), (32, (8, 4)), (256, (8, 8, 4)), (512, (8, 8, 8))],
)
def test_default_levels(n_codes, levels) -> None:
    assert default_levels(n_codes) == levels


def test_levels_that_do_not_fit() -> None:
    assert default_levels(1000) == (8, 5, 5, 5)
    with pytest.raises(ValueError, match="power of two such as 16"):
        FiniteScalarQuantizer(DIM, 17)
    with pytest.raises(ValueError, match="product 12"):
        FiniteScalarQuantizer(DIM, CODES, levels=[3, 4])
    with pytest.raises(TypeError, match="levels"):
        FiniteScalarQuantizer(DIM, CODES, levels=[8, 4.0])


@pytest.mark.parametrize("levels", [(5, 4), (2, 3), (8, 8, 4), (1, 7)])
def test_finite_scalar_reaches_every_code_and_rounds_as_published(levels) -> None:
    n = math.prod(levels)
    layer = FiniteScalarQuantizer(len(levels), n, levels=levels).eval()
    with torch.no_grad():
        for linear in (layer.inward, layer.outward):
            linear.weight.copy_(torch.eye(len(levels)))
            linear.bias.zero_()
    z = 2 * latents(20000, len(levels), dtype=torch.float64)
    layer.double()
    found = layer(z)
    assert len(found.indices.unique()) == n
    for i, count in enumerate(levels):
        half, offset = (count - 1) * 1.001 / 2, 0.5 * (count % 2 == 0)
        shift = math.atanh(offset / half) if offset else 0.0
        rounded = (torch.tanh(z[:, i] + shift) * half - offset).round()
        torch.testing.assert_close(found.values[:, i], rounded / max(count // 2, 1))
    zero = layer(torch.zeros(1, len(levels)))  # float32 in a float64 layer
    assert not zero.values.any()
    gradient = flow(layer, z)
    assert torch.isfinite(gradient).all()


def test_finite_scalar_matches_the_package_of_today() -> None:
    package = pytest.importorskip("vector_quantize_pytorch")
    levels = [8, 5, 5]
    ours = FiniteScalarQuantizer(3, 200, levels=levels).eval()
    with torch.no_grad():
        for linear in (ours.inward, ours.outward):
            linear.weight.copy_(torch.eye(3))
            linear.bias.zero_()
    z = latents(200, 3)
    theirs, indices = package.FSQ(levels)(z[None])
    torch.testing.assert_close(ours(z).values, theirs[0])
    assert torch.equal(ours(z).indices, indices[0].long())


def test_sim_moves_all_codewords_and_keeps_its_table() -> None:
    layer = build("sim")
    table, before = layer.table.clone(), layer.codebook.detach().clone()
    step(layer, latents(3, DIM))
    assert torch.equal(layer.table, table)
    assert (layer.codebook.detach() != before).any(1).all()


@pytest.mark.parametrize("name", METHODS)
def test_training_lowers_the_error_of_an_autoencoder(name) -> None:
    torch.manual_seed(0)
    layer, data = METHODS[name](4, 16), latents(512, DIM).detach()
    mix = torch.randn(3, DIM)
    data = data[:, :3] @ mix
    net = torch.nn.ModuleList([torch.nn.Linear(DIM, 4), layer, torch.nn.Linear(4, DIM)])
    with torch.no_grad():
        layer.initialise(net[0](data), torch.Generator().manual_seed(0))
    optimiser, errors = torch.optim.Adam(net.parameters(), 1e-2), []
    for _ in range(80):
        found = layer(net[0](data))
        error = (net[2](found.values) - data).square().mean()
        optimiser.zero_grad()
        (error + 0.01 * found.loss).backward()
        optimiser.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.7 * errors[0]
    assert isinstance(layer, NearestQuantizer) == (name == "nearest")
