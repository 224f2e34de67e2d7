"""What is measured of reconstructions and latents, and latents as bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from layer_cases import CODES, DIM, HARD, MIXED, build, latents
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from solvq.train._autoencoder import Autoencoder, Output
from solvq.train._config import Config
from solvq.train._feature_network import FeatureNetwork
from solvq.train._features import load_features
from solvq.train._judge import Judge, Point
from solvq.train._metrics import Frechet, LatentError, Means, absent, errors, similarities
from solvq.train._points import transmissions
from solvq.train._transmit import Mixtures, Numbers, Transmission, pack, unpack
from solvq.vector import METHODS, VectorQuantizer

CPU = torch.device("cpu")
SHAPE = (3, 4, 5)


def images(n: int, size: int = 32, seed: int = 0) -> Tensor:
    """Smooth images with some noise, in [0, 1]."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(n, 3, size, size)), (0, 0, 4, 4)) * 2
    noisy = 0.5 + field + 0.02 * rng.normal(size=field.shape)
    return torch.from_numpy(noisy.clip(0, 1).astype(np.float32))


def z_of(seed: int = 3) -> Tensor:
    """Latents of a few images."""
    return latents(SHAPE[0], DIM, *SHAPE[1:], seed=seed).detach()


def output_of(layer: VectorQuantizer | None, z: Tensor) -> Output:
    """What an autoencoder with this bottleneck holds for latents."""
    found = None if layer is None else layer(z)
    return Output(z, z, z if found is None else found.values, found)


class Stand:
    """As much of an autoencoder as is asked for ways to send its latents."""

    def __init__(self, quantizer: VectorQuantizer | None) -> None:
        self.quantizer = quantizer


def ways(layer: VectorQuantizer | None) -> list[Transmission]:
    """Transmissions of a layer, with tables made of other latents."""
    many = latents(16, DIM, 4, 4, seed=9).detach()
    with torch.no_grad():
        return transmissions(Stand(layer), output_of(layer, many), CODES)  # type: ignore[arg-type]


# Images


def test_errors_are_those_of_each_image_cut_to_the_range() -> None:
    x = images(5)
    y = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    found = errors(y, x)
    for i in range(5):
        a, b = x[i].double().numpy(), y[i].clamp(0, 1).double().numpy()
        assert float(found["mse"][i]) == pytest.approx(np.mean((a - b) ** 2))
        assert float(found["psnr"][i]) == pytest.approx(
            peak_signal_noise_ratio(a, b, data_range=1.0)
        )
    assert float(errors(x, x)["psnr"].max()) == 100


def ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity at each pixel, by its formula (Wang et al., 2004)."""

    def blur(field: np.ndarray) -> np.ndarray:
        return gaussian_filter(field, 1.5, mode="mirror", truncate=3.5)

    m, n = blur(a), blur(b)
    v, w, c = blur(a * a) - m * m, blur(b * b) - n * n, blur(a * b) - m * n
    c1, c2 = 0.01**2, 0.03**2
    return (2 * m * n + c1) * (2 * c + c2) / ((m * m + n * n + c1) * (v + w + c2))


def test_ssim_is_its_formula() -> None:
    x = images(3)
    y = (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    found = similarities(y, x)["ssim"]
    for i in range(3):
        maps = [ssim_map(x[i, c].double().numpy(), y[i, c].double().numpy()) for c in range(3)]
        assert float(found[i]) == pytest.approx(np.mean(maps), abs=1e-4)
    assert similarities(x, x)["ssim"].numpy() == pytest.approx(np.ones(3))


def test_similarities_where_images_are_large_enough() -> None:
    assert set(similarities(images(2, 8), images(2, 8))) == set()
    assert set(similarities(images(2, 175), images(2, 175))) == {"ssim"}
    x = images(2, 176)
    assert similarities(x, x)["ms_ssim"].numpy() == pytest.approx(np.ones(2))
    assert set(absent(8)) == {"ssim", "ms_ssim", "frechet"}
    assert set(absent(64)) == {"ms_ssim"}
    assert absent(176) == {}


def test_means_do_not_depend_on_batches() -> None:
    whole, parts = Means(), Means()
    x = torch.arange(7.0)
    whole.add({"a": x, "b": x.square()})
    for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
        parts.add({"a": x[part], "b": x[part].square()})
    assert parts.means() == pytest.approx(whole.means()) == {"a": 3.0, "b": 13.0}


# Latents


def test_latent_error_against_the_variance() -> None:
    z = 100 + latents(6, DIM, 3, 3, seed=2).detach()
    values = z + 0.1 * latents(6, DIM, 3, 3, seed=4).detach()
    counted = LatentError()
    for part in (slice(0, 1), slice(1, 6)):
        counted.add(z[part], values[part])
    rows = z.double().movedim(1, -1).reshape(-1, DIM).numpy()
    away = values.double().movedim(1, -1).reshape(-1, DIM).numpy() - rows
    expected = {
        "quantization_error": np.mean((away**2).sum(1)),
        "relative_error": np.mean((away**2).sum(1)) / rows.var(0).sum(),
        "latent_variance": rows.var(0).sum(),
    }
    assert counted.figures() == pytest.approx(expected)


def test_one_codeword_leaves_the_variance() -> None:
    z = latents(500, DIM).detach()
    counted = LatentError()
    counted.add(z, z.mean(0).expand_as(z))
    assert counted.figures()["relative_error"] == pytest.approx(1)
    flat = LatentError()
    flat.add(torch.ones(5, DIM), torch.zeros(5, DIM))
    assert math.isnan(flat.figures()["relative_error"])


# Fréchet distance


class Colours(FeatureNetwork):
    """Four pixels as features."""

    name = "pixels"
    about = "four pixels"

    def _layers(self, x: Tensor) -> list[Tensor]:
        return [x]

    def _embed(self, x: Tensor) -> Tensor:
        return x[:, :, 4:20:9, 7].flatten(1)[:, :4]


def test_frechet_distance_is_its_formula() -> None:
    x, y = images(60), (images(60, seed=1) * 0.7).square()
    counted = Frechet(Colours(), CPU)
    for part in (slice(0, 20), slice(20, 60)):
        counted.add(y[part], x[part])
    a, b = (Colours()._embed(t).double().numpy() for t in (x, y))
    s, t = np.cov(a.T), np.cov(b.T)
    apart = np.square(a.mean(0) - b.mean(0)).sum()
    expected = apart + np.trace(s + t - 2 * np.real(sqrtm(s @ t)))
    found = counted.figures()
    assert found["value"] == pytest.approx(expected, rel=1e-4)
    assert (found["network"], found["n_features"], found["n_images"]) == ("pixels", 4, 60)


def test_frechet_distance_of_a_set_from_itself_is_nothing() -> None:
    counted, other = (Frechet(load_features("gradients"), CPU) for _ in range(2))
    x = images(100)
    counted.add(x, x)
    other.add(images(100, seed=5), x)
    assert counted.figures()["value"] < 1e-3 * other.figures()["value"]
    assert counted.figures()["network"] == "gradients"


# Bits


@pytest.mark.parametrize("n_bits", [0, 1, 5, 8, 13])
def test_packing(n_bits: int) -> None:
    numbers = np.random.default_rng(0).integers(0, 2**n_bits, 101)
    data = pack(numbers, n_bits)
    assert len(data) == -(-101 * n_bits // 8)
    assert np.array_equal(unpack(data, n_bits, 101), numbers)


@pytest.mark.parametrize("name", sorted({*HARD, *MIXED, "gumbel", "stochastic"}))
def test_own_transmission_gives_the_layers_values(name: str) -> None:
    layer = build(name).eval()
    own, z = ways(layer)[0], z_of()
    output = output_of(layer, z)
    data = own.send(output)
    values = own.receive(data, SHAPE)
    exact = layer.decode(layer.encode(z))
    assert values.shape == z.shape
    assert torch.allclose(values, exact, atol=2e-6)
    assert torch.allclose(values, output.values, atol=2e-6)
    layer.reset_usage()
    layer.measure(z)
    sent = 8 * len(data) / math.prod(SHAPE)
    if isinstance(own, Mixtures):  # at most a bit for each codeword in place of the choice
        assert own.rate.entropy <= sent < own.rate.entropy + CODES + 2
    else:
        assert own.rate.nominal <= sent < own.rate.nominal + 0.5
        assert own.rate.entropy <= own.rate.nominal + 1e-9


@pytest.mark.parametrize("name", sorted(MIXED))
def test_operating_points_of_soft_layers(name: str) -> None:
    layer = build(name).eval()
    z = z_of()
    output = output_of(layer, z)
    points, names = {}, []
    layer.measure(z)
    for way in ways(layer):
        data = way.send(output)
        error = float((way.receive(data, SHAPE) - z).square().sum(1).mean())
        points[way.name] = (8 * len(data) / math.prod(SHAPE), error)
        names.append(way.name)
    if name == "soft-convex-sparse":
        assert names == ["sparse mixtures"]
        return
    assert points["largest weight"][0] == points["nearest codeword"][0]
    assert points["nearest codeword"][0] == pytest.approx(5, abs=0.2)
    nearest = torch.cdist(z.movedim(1, -1).reshape(-1, DIM), layer.codebook.detach())
    least = nearest.amin(1).square().mean()
    assert points["nearest codeword"][1] == pytest.approx(float(least), rel=1e-4)
    assert points["largest weight"][1] >= points["nearest codeword"][1] * (1 - 1e-6)
    fewer, more = points["sparse mixtures of 2"], points["sparse mixtures of 4"]
    assert fewer[0] < more[0] < points["exact mixtures"][0]
    assert more[1] < fewer[1] < points["nearest codeword"][1]


def test_dense_mixtures_are_sent_as_values() -> None:
    layer = METHODS["soft-convex-alternating"](2, CODES).eval()
    layer.initialise(latents(64, 2).detach())
    z = latents(4, 2, 3, 3, seed=4).detach()
    own = Mixtures("exact mixtures", layer, own=True)
    data = own.send(output_of(layer, z))
    assert len(data) == -(-36 // 8) + 36 * 2 * 4  # a bit each, and two numbers
    assert torch.equal(own.receive(data, (4, 3, 3)), layer(z).values.detach())


def test_only_the_bytes_count() -> None:
    layer = build("nearest").eval()
    own, z = ways(layer)[0], z_of()
    data = own.send(output_of(layer, z))
    first = layer.codebook[0].detach().view(1, DIM, 1, 1)
    assert torch.equal(own.receive(bytes(len(data)), SHAPE), first.expand_as(z))


@pytest.mark.parametrize("n_bits", [2, 4, 8, 32])
def test_numbers_lose_at_most_half_a_step(n_bits: int) -> None:
    z = z_of()
    way = Numbers(z, n_bits)
    data = way.send(output_of(None, z))
    back = way.receive(data, SHAPE)
    assert len(data) == math.prod(SHAPE) * DIM * n_bits // 8
    assert way.rate.nominal == n_bits * DIM
    lost = (back - z).abs().amax((0, 2, 3))
    spread = z.amax((0, 2, 3)) - z.amin((0, 2, 3))
    if n_bits == 32:
        assert torch.equal(back, z)
    else:
        assert bool((lost <= 0.5001 * spread / (2**n_bits - 1)).all())
        assert float(lost.max()) > 0


# A whole model


@pytest.fixture(scope="module")
def model() -> Autoencoder:
    """A small autoencoder with exact mixtures as bottleneck, its codewords from data."""
    torch.manual_seed(0)
    config = Config(quantizer="soft-convex", width=4, n_blocks=1, dim=DIM, n_codes=CODES)
    made = Autoencoder(config)
    with torch.no_grad():
        made.quantizer.initialise(made.encode(images(8)))
    return made.eval()


def test_points_decode_what_was_sent(model: Autoencoder) -> None:
    x = images(4)
    with torch.no_grad():
        output = model(x)
        point = Point(transmissions(model, output, CODES)[0])
        model.quantizer.reset_usage()
        model.quantizer.measure(output.latents)
        point.add(model, output, x)
    found = point.figures(1 / 16)
    mse = (output.reconstruction.clamp(0, 1) - x).square().mean()
    assert found["mse"] == pytest.approx(float(mse), rel=1e-4)
    for kind in ("nominal", "entropy", "sent"):
        assert found["bits_per_pixel"][kind] == found["bits_per_latent"][kind] / 16


def test_judge_does_not_depend_on_batches(model: Autoencoder) -> None:
    x, found, arrays = images(12, seed=2), [], []
    for size in (12, 5):
        with torch.no_grad():
            judge = Judge(model, transmissions(model, model(images(8)), CODES), None)
        for first in range(0, 12, size):
            judge.add(x[first : first + size], 12)
        found.append(judge.figures())
        arrays.append(judge.arrays())
    whole, parts = found
    for name in ("mse", "psnr", "ssim", "relative_error", "soft_perplexity", "mse_from_bits"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-4), name
    assert [p["name"] for p in parts["points"]] == [p["name"] for p in whole["points"]]
    assert whole["latents_per_image"] == 64
    assert arrays[0]["usage"].sum(1) == pytest.approx([1])
    assert arrays[0]["latents"].shape == arrays[0]["values"].shape == (768, DIM)
    assert np.array_equal(
        arrays[0]["originals"], (x * 255).round().byte().permute(0, 2, 3, 1).numpy()
    )
