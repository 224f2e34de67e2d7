"""What is measured: errors of images and of latents, and the distance of two sets of images.

Images are float in [0, 1]. Reconstructions are cut to that range and not rounded to 8 bits:
rounding would add about 1.3e-6 to every squared error.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from solvq.train._feature_network import SMALLEST, FeatureNetwork

SMALLEST_SSIM = 11  # pixels: the width of the window
SMALLEST_MS_SSIM = 176  # pixels: five scales of such windows, as torchmetrics demands
LEAST = 1e-10  # squared error that counts as 100 dB, so that a perfect image does not rule a mean


def decibels(mse: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of squared errors in [0, 1], at most 100."""
    return -10 * mse.double().clamp_min(LEAST).log10()


class Means:
    """Means over images of figures that come a batch at a time."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, figures: dict[str, Tensor]) -> None:
        """Take in one figure an image, under each name."""
        for name, each in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(each.double().sum())
        self.count += len(next(iter(figures.values())))

    def means(self) -> dict[str, float]:
        """Mean of each figure."""
        return {name: total / self.count for name, total in self.sums.items()}


def errors(reconstruction: Tensor, x: Tensor) -> dict[str, Tensor]:
    """Squared error and PSNR of each image (B, 3, H, W), the reconstruction cut to [0, 1].

    The mean of ``psnr`` over images is the mean of their ratios, and not that of the mean error.
    """
    mse = (reconstruction.clamp(0, 1).double() - x.double()).square().mean((1, 2, 3))
    return {"mse": mse, "psnr": decibels(mse)}


def similarities(reconstruction: Tensor, x: Tensor) -> dict[str, Tensor]:
    """SSIM and MS-SSIM of each image by torchmetrics, where images are large enough.

    Gaussian windows of 11 pixels with sigma 1.5; colours apart, then their mean.
    """
    from torchmetrics.functional import image as library  # noqa: PLC0415 - slow

    shown, size, found = reconstruction.clamp(0, 1), min(x.shape[-2:]), {}
    if size >= SMALLEST_SSIM:
        ssim = library.structural_similarity_index_measure
        found["ssim"] = ssim(shown, x, data_range=1.0, reduction="none")
    if size >= SMALLEST_MS_SSIM:
        ms_ssim = library.multiscale_structural_similarity_index_measure
        found["ms_ssim"] = ms_ssim(shown, x, data_range=1.0, reduction="none")
    return {name: torch.as_tensor(each).reshape(len(x)) for name, each in found.items()}


def absent(size: int) -> dict[str, str]:
    """Why figures are missing at a size of images."""
    least = {"ssim": SMALLEST_SSIM, "ms_ssim": SMALLEST_MS_SSIM, "frechet": SMALLEST}
    return {
        name: f"images are {size} pixels wide, at least {pixels} are needed"
        for name, pixels in least.items()
        if size < pixels
    }


class LatentError:
    """How far quantized values are from latents, absolutely and against their variance.

    The error is the mean of ``|z - z_q|^2`` over latents; the variance is the mean squared
    distance of latents from their mean, so that 1 is what a single codeword leaves. All in
    float64, a batch at a time (Chan, Golub, LeVeque, 1983).
    """

    def __init__(self) -> None:
        self.count = 0
        self.squares = 0.0
        self.spread: Tensor | float = 0.0
        self.mean: Tensor | float = 0.0

    def add(self, latents: Tensor, values: Tensor) -> None:
        """Take in latents and values (B, dim, *spatial) or (N, dim)."""
        z, z_q = (t.double().movedim(1, -1).flatten(0, -2) for t in (latents, values))
        self.squares += float((z - z_q).square().sum())
        count, mean = len(z), z.mean(0)
        total = self.count + count
        shift = mean - self.mean
        self.spread = self.spread + (z - mean).square().sum(0)
        self.spread = self.spread + shift.square() * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    def figures(self) -> dict[str, float]:
        """Error, its ratio to the variance (nan where that is 0), and the variance."""
        error = self.squares / self.count
        variance = float(torch.as_tensor(self.spread).sum()) / self.count
        relative = error / variance if variance else math.nan
        return {
            "quantization_error": error,
            "relative_error": relative,
            "latent_variance": variance,
        }


class Embedding(nn.Module):
    """A feature network as torchmetrics calls it: images to rows of ``num_features`` numbers.

    Parameters
    ----------
    network : FeatureNetwork
        Where the rows come from.
    """

    def __init__(self, network: FeatureNetwork) -> None:
        super().__init__()
        self.network = network
        self.num_features = network.embed(torch.zeros(1, 3, SMALLEST, SMALLEST)).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Features of images in [0, 1]."""
        return self.network.embed(images)


class Frechet:
    """Distance of two sets of images as Gaussians of their features, by torchmetrics.

    ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))``. With Inception features this is the FID; with
    others it is not comparable to it, so the network is named wherever the number is. Few images
    against the number of features bias it upwards.

    Parameters
    ----------
    network : FeatureNetwork
        Whose features of whole images are compared.
    device : torch.device
        Where it is.
    """

    def __init__(self, network: FeatureNetwork, device: torch.device) -> None:
        from torchmetrics.image.fid import FrechetInceptionDistance  # noqa: PLC0415 - slow

        self.name, self.about = network.name, network.about
        embedding = Embedding(network).to(device)
        self.n_features = embedding.num_features
        self.metric = FrechetInceptionDistance(embedding).to(device)

    def add(self, reconstruction: Tensor, x: Tensor) -> None:
        """Take in a batch of both sets."""
        self.metric.update(x, real=True)
        self.metric.update(reconstruction.clamp(0, 1), real=False)

    def figures(self) -> dict[str, Any]:
        """Distance, network, and numbers of features and images."""
        n_images = int(self.metric.real_features_num_samples)
        value = max(0.0, float(self.metric.compute())) if n_images > 1 else math.nan
        return {
            "value": value,
            "network": self.name,
            "about": self.about,
            "n_features": self.n_features,
            "n_images": n_images,
        }
