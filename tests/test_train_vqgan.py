"""The VQGAN, its feature networks and its adversarial objective."""

from __future__ import annotations

import copy
import math

import pytest

torch = pytest.importorskip("torch")

from solvq.train._adversarial import AdversarialObjective, handed_on  # noqa: E402
from solvq.train._autoencoder import Autoencoder, Output  # noqa: E402
from solvq.train._config import Config  # noqa: E402
from solvq.train._discriminator import (  # noqa: E402
    PatchDiscriminator,
    discriminator_hinge,
    generator_hinge,
)
from solvq.train._features import FEATURES, load_features, perceptual, resolve  # noqa: E402
from solvq.train._models import MODELS  # noqa: E402
from solvq.train._vqgan import normalised, widths  # noqa: E402

SMALL = {"model": "vqgan", "width": 8, "n_blocks": 1, "n_down": 2, "dim": 4, "steps": 10}
PRESENT = [name for name, network in FEATURES.items() if network.missing() is None]
STAND_IN = "gradients"


def images(n: int = 2, size: int = 32, seed: int = 0):
    """Random images in [0, 1] that are smooth enough to have something to see."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, size // 4, size // 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")


def objective(start: float = 0.0, **given):
    """A small model and its adversarial objective, from the first step on."""
    options = {"perceptual": STAND_IN, "adversarial_start": start, "discriminator_width": 8}
    options |= given.pop("options", {})
    config = Config(objective="adversarial", objective_options=options, **(SMALL | given))
    torch.manual_seed(3)
    model = Autoencoder(config)
    return model, AdversarialObjective(config, model, 0.05)


def made(image):
    """An output that is only a reconstruction."""
    return Output(image, image, image, None)


@pytest.mark.parametrize("n_down", range(5))
@pytest.mark.parametrize("size", [32, 64])
def test_shapes(size: int, n_down: int) -> None:
    """Each halving halves, and the decoder gives the size of the images again."""
    config = Config(**(SMALL | {"n_down": n_down, "width": 4, "n_blocks": 1}))
    latents = MODELS["vqgan"].encoder(config)(images(1, size))
    assert latents.shape == (1, 4, size >> n_down, size >> n_down)
    decoder = MODELS["vqgan"].decoder(config)
    assert decoder(latents).shape == (1, 3, size, size)
    assert isinstance(decoder.last, torch.nn.Conv2d)


@pytest.mark.parametrize(
    ("n_down", "multipliers"),
    [(0, [1]), (1, [1, 2]), (2, [1, 2, 4]), (3, [1, 2, 2, 4]), (4, [1, 1, 2, 2, 4])],
)
def test_widths(n_down: int, multipliers: list[int]) -> None:
    """Channels go from the hidden width to four times as many."""
    config = Config(**(SMALL | {"n_down": n_down, "width": 6}))
    assert widths(config) == [6 * m for m in multipliers]


@pytest.mark.parametrize("channels", [1, 3, 6, 8, 16, 24, 40, 64, 100, 128, 512])
def test_groups_divide_channels(channels: int) -> None:
    """No group of a normalisation is one channel alone where there are more."""
    groups = normalised(channels).num_groups
    assert channels % groups == 0
    assert groups <= 32
    assert groups == 1 or channels // groups >= 4


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_blocks_per_resolution(n_blocks: int) -> None:
    """`n_blocks` residual blocks at each of the resolutions, and two at the lowest."""
    decoder = MODELS["vqgan"].decoder(Config(**(SMALL | {"n_blocks": n_blocks})))
    found = [type(m).__name__ for m in decoder.modules()]
    assert found.count("Residual") == 3 * n_blocks + 2
    assert found.count("Attention") == 1


def test_every_place_sees_every_place() -> None:
    """Attention: a change in one corner reaches the latent in the other."""
    encoder = MODELS["vqgan"].encoder(Config(**(SMALL | {"width": 4}))).eval()
    for module in encoder.modules():  # normalisation would carry the change as well
        if isinstance(module, torch.nn.GroupNorm):
            module.forward = lambda x: x
    x = images(1, 64)
    changed = x.clone()
    changed[:, :, :2, :2] += 0.5
    apart = (encoder(changed) - encoder(x)).abs()
    assert apart[0, :, -1, -1].max() > 0


def test_discriminator_sees_patches() -> None:
    """Scores of 70 x 70 patches: 64 pixels give 6 x 6, 32 give 2 x 2, 24 give one."""
    net = PatchDiscriminator(4)
    assert [net(images(2, size)).shape[2:] for size in (64, 32, 24)] == [(6, 6), (2, 2), (1, 1)]


def test_discriminator_judges_images_alone() -> None:
    """The score of an image does not depend on the batch it is in."""
    net, x = PatchDiscriminator(8), images(4)
    assert torch.allclose(net(x)[:1], net(x[:1]), atol=1e-6)


def test_hinge_in_closed_form() -> None:
    """Losses and gradients of given scores."""
    true = torch.tensor([2.0, 0.5, -1.0], requires_grad=True)
    fake = torch.tensor([-3.0, 0.5, 1.0, -0.5], requires_grad=True)
    loss = discriminator_hinge(true, fake)
    assert loss.item() == pytest.approx((0 + 0.5 + 2) / 6 + (0 + 1.5 + 2 + 0.5) / 8)
    by_true, by_fake = torch.autograd.grad(loss, (true, fake))
    assert by_true.tolist() == pytest.approx([0, -1 / 6, -1 / 6])
    assert by_fake.tolist() == pytest.approx([0, 1 / 8, 1 / 8, 1 / 8])
    assert generator_hinge(fake).item() == pytest.approx(0.5)


def test_discriminator_learns() -> None:
    """Smooth images against the same with noise: after a few steps the scores are apart."""
    _, judge = objective(options={"discriminator_lr": 2e-3})
    noise = torch.Generator().manual_seed(0)
    for step in range(20):
        x = images(4, seed=step)
        fake = x + 0.2 * torch.randn(x.shape, generator=noise)
        figures = judge.adapt(made(fake), x, step)
    assert figures["discriminator_loss"] < 0.5
    assert figures["score_true"] > figures["score_made"] + 1


def test_value_with_a_gradient_handed_on() -> None:
    """The value is the one given, and so is the gradient."""
    at = torch.rand(3, 4, requires_grad=True)
    gradient = torch.randn(3, 4)
    result = handed_on(torch.tensor(7.0), at, gradient)
    assert result.item() == 7
    assert torch.equal(torch.autograd.grad(result, at)[0], gradient)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_loss_is_the_sum_of_its_terms(weight: float) -> None:
    """Value, adaptive weight and gradients are those of the formula, by autograd."""
    model, judge = objective(options={"adversarial_weight": weight})
    x = images(4)
    output = model(x)
    loss, figures = judge.loss(output, x, 0)
    got = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True, allow_unused=True)

    error = (output.reconstruction - x).square().mean() / 0.05
    likeness = error + perceptual(load_features(STAND_IN), output.reconstruction, x).mean()
    hinge = -judge.discriminator(output.reconstruction).mean()
    last = model.decoder.last.weight
    by_likeness, by_hinge = (
        torch.autograd.grad(term, last, retain_graph=True)[0] for term in (likeness, hinge)
    )
    ratio = by_likeness.norm() / (by_hinge.norm() + 1e-6)
    total = likeness + weight * ratio.detach() * hinge
    assert figures["adaptive_weight"].item() == pytest.approx(ratio.item(), rel=1e-4)
    assert loss.item() == pytest.approx(total.item(), rel=1e-5)
    want = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
    for ours, theirs in zip(got, want, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_adaptive_weight_is_bounded() -> None:
    """A hinge that pushes nowhere gives the largest weight, not infinity."""
    model, judge = objective()
    image = model(images()).reconstruction
    pull = 1e3 * torch.ones_like(image)
    assert judge.adaptive_weight(image, pull, torch.zeros_like(image)).item() == 1e4


def test_discriminator_gets_no_gradient_from_the_loss() -> None:
    """The autoencoder's backward leaves the discriminator alone, and `adapt` the autoencoder."""
    model, judge = objective()
    x = images()
    output = model(x)
    judge.loss(output, x, 0)[0].backward()
    assert all(p.grad is None for p in judge.discriminator.parameters())
    model.zero_grad()
    judge.adapt(output, x, 0)
    assert all(p.grad is None for p in model.parameters())


def test_begins_where_it_is_told() -> None:
    """Before the start nothing is to deceive, nothing learns."""
    model, judge = objective(start=0.5)
    x = images()
    before = {name: value.clone() for name, value in judge.discriminator.state_dict().items()}
    for step in (4, 5):
        output = model(x)
        _, figures = judge.loss(output, x, step)
        figures |= judge.adapt(output, x, step)
        assert ("hinge" in figures) == ("discriminator_loss" in figures) == (step >= 5)
        same = all(
            torch.equal(before[name], value)
            for name, value in judge.discriminator.state_dict().items()
        )
        assert same == (step < 5)


def test_without_gradients_the_loss_is_likeness() -> None:
    """Under `no_grad` a loss can still be asked for."""
    model, judge = objective()
    with torch.no_grad():
        loss, figures = judge.loss(model(images()), images(), 0)
    assert "hinge" not in figures
    assert math.isfinite(loss)


def test_state_goes_on_with_the_same_bits() -> None:
    """Discriminator and optimiser, saved and loaded, do what they would have done."""
    x, fake = images(4), images(4, seed=1)
    _, judge = objective()
    for step in range(3):
        judge.adapt(made(fake), x, step)
    _, other = objective()
    other.load_state_dict(judge.state_dict())
    other.optimizer.load_state_dict(copy.deepcopy(judge.optimizer.state_dict()))
    for step in range(3, 5):
        assert judge.adapt(made(fake), x, step) == other.adapt(made(fake), x, step)
    ours, theirs = judge.state_dict(), other.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_state_holds_no_feature_network() -> None:
    """What is fixed is not saved; which network it was is."""
    _, judge = objective()
    names = {name.split(".")[0] for name in judge.state_dict()}
    assert names == {"discriminator", "_extra_state"}
    _, without = objective(options={"perceptual_weight": 0})
    with pytest.raises(RuntimeError, match="began with the feature network 'gradients'"):
        without.load_state_dict(judge.state_dict())


def test_under_autocast() -> None:
    """In bfloat16 the loss and its figures are float32 and close."""
    model, judge = objective(precision="bfloat16")
    x = images(4)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(x)
        low, figures = judge.loss(output, x, 0)
    high, _ = judge.loss(model(x), x, 0)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(high.item(), rel=0.02)
    low.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())
    figures |= judge.adapt(output, x, 0)
    assert all(bool(value.isfinite()) for value in figures.values())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"options": {"perceptual": "vgg"}}, "'vgg'; choose one of auto, lpips"),
        ({"options": {"weight": 1}}, "hold weight; the adversarial objective takes perceptual,"),
        ({"options": {"adversarial_start": 1.5}}, "1.5; give a number from 0 to 1"),
        ({"options": {"discriminator_width": 0}}, "0; give an integer of at least 1"),
        ({"options": {"adversarial_weight": math.inf}}, "inf; give a number of at least 0"),
        ({"precision": "float16"}, "choose float32 or bfloat16"),
        ({"size": 16}, "needs at least 24 pixels"),
    ],
)
def test_refused(given: dict, message: str) -> None:
    """Options that cannot be, by name."""
    with pytest.raises(ValueError, match=message):
        objective(**given)


@pytest.mark.parametrize("name", PRESENT)
def test_network_is_fixed(name: str) -> None:
    """No parameters, nothing to save, always in eval mode; shapes are those of the batch."""
    network = load_features(name).train()
    assert network.name == name
    assert network.about
    assert list(network.parameters()) == []
    assert len(network.state_dict()) == 0
    assert not any(module.training for module in network.modules())
    x = images(3, 40)
    assert all(layer.shape[0] == 3 for layer in network.layers(x))
    rows = network.embed(x)
    assert rows.shape == (3, network.embed(images(1, 64)).shape[1])
    assert torch.equal(rows, network.embed(x))


@pytest.mark.parametrize("name", PRESENT)
def test_perceptual_distance(name: str) -> None:
    """0 for the same, above 0 otherwise, symmetric, larger for more noise, image by image."""
    network, a = load_features(name), images(3)
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(1))
    near, far = a + 0.02 * noise, a + 0.2 * noise
    assert torch.equal(perceptual(network, a, a), torch.zeros(3))
    there, back = perceptual(network, a, near), perceptual(network, near, a)
    assert torch.allclose(there, back, rtol=1e-5)
    assert bool((there > 1e-4).all())
    assert bool((perceptual(network, a, far) > there).all())
    assert perceptual(network, a[1:2], near[1:2]).item() == pytest.approx(there[1].item(), rel=1e-3)


@pytest.mark.parametrize("name", PRESENT)
def test_perceptual_gradient(name: str) -> None:
    """The gradient agrees with a difference along it."""
    network, a = load_features(name).double(), images(1).double()
    b = (
        a + 0.05 * torch.randn(a.shape, generator=torch.Generator().manual_seed(1))
    ).requires_grad_()
    (gradient,) = torch.autograd.grad(perceptual(network, a, b).sum(), b)
    ahead = gradient / gradient.norm()
    step = 1e-3
    with torch.no_grad():
        rise = perceptual(network, a, b + step * ahead) - perceptual(network, a, b - step * ahead)
    assert rise.item() / (2 * step) == pytest.approx(gradient.norm().item(), rel=1e-2)


def test_pyramid_misses_nothing() -> None:
    """Images of the same differences and other brightness, or one pixel apart, are not the same."""
    network, grey = load_features(STAND_IN), torch.full((1, 3, 32, 32), 0.4)
    assert perceptual(network, grey, grey + 0.1).item() > 1e-3
    dotted = grey.clone()
    dotted[0, 0, 5, 7] += 0.1
    assert perceptual(network, grey, dotted).item() > 0


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 16, 64)])
def test_networks_refuse_other_shapes(shape: tuple[int, ...]) -> None:
    """Images too small, or without three channels."""
    network = load_features(STAND_IN)
    for ask in (network.layers, network.embed):
        with pytest.raises(ValueError, match="H and W of at least 32"):
            ask(torch.zeros(shape))


def test_auto_takes_the_best_there_is() -> None:
    """The first of the table whose weights are here; there always is one."""
    assert resolve("auto") == PRESENT[0] == load_features().name
    assert resolve("lpips") == "lpips"
    with pytest.raises(ValueError, match="features are 'alex'; choose one of auto, lpips"):
        load_features("alex")


@pytest.mark.parametrize("name", [name for name in FEATURES if name != STAND_IN])
def test_missing_weights_say_what_to_do(name: str, monkeypatch) -> None:
    """An error that names the remedy and the substitute, and "auto" that goes on without."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=rf"'{name}'.* pip install .*choose 'gradients'"):
        load_features(name)
    with pytest.raises(FileNotFoundError, match="pip install"):
        FEATURES[name]()
    assert load_features("auto").name == STAND_IN


def test_lpips_asks_for_its_backbone(tmp_path, monkeypatch) -> None:
    """Nothing is downloaded: the error holds the command that would."""
    pytest.importorskip("torchmetrics")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"vgg16-397923af.pth is missing.*python -c"):
        load_features("lpips")


@pytest.fixture
def backbone():
    """VGG16's layers as torchvision lays them out, narrow weights repeated to their shapes."""
    torch.manual_seed(5)
    layers, channels = [], 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if width:
            conv = torch.nn.Conv2d(channels, width, 3, padding=1)
            torch.nn.init.normal_(conv.weight, 0, (2 / (9 * channels)) ** 0.5)
            layers += [conv, torch.nn.ReLU()]
            channels = width
        else:
            layers.append(torch.nn.MaxPool2d(2))
    return torch.nn.Sequential(*layers)


def test_lpips_is_that_of_torchmetrics(backbone, tmp_path, monkeypatch) -> None:
    """With one backbone, of random weights here, both give the same distance."""
    reference = pytest.importorskip("torchmetrics.functional.image.lpips")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    weights = {f"features.{name}": value for name, value in backbone.state_dict().items()}
    torch.save(weights, folder / "vgg16-397923af.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(reference, "_get_tv_model_features", lambda *_: backbone)
    theirs = reference._NoTrainLpips(net="vgg").train(False)
    network = load_features("lpips")
    a = images(2, 32)
    b = (a + 0.1 * torch.randn(a.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    ours = perceptual(network, a, b)
    assert ours.tolist() == pytest.approx(theirs(a, b, normalize=True).flatten().tolist(), rel=1e-4)
    assert resolve("auto") == "lpips"
    assert network.embed(a).shape == (2, 512)
