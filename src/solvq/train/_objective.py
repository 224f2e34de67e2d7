"""What reconstructions are measured with: the part of the loss that no bottleneck gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from solvq.train._autoencoder import Autoencoder, Output
    from solvq.train._config import Config


class Objective(nn.Module, ABC):
    """The loss of reconstructions, and whatever learns beside the autoencoder.

    Parameters
    ----------
    config : Config
        Of the run.
    model : Autoencoder
        What is trained.
    variance : float
        Mean squared deviation of the training images' numbers from their mean.
    """

    optimizer: torch.optim.Optimizer | None = None  # of what learns beside

    def __init__(self, config: Config, model: Autoencoder, variance: float) -> None:
        super().__init__()
        self.variance = variance
        self.configure(config, model)

    def configure(self, config: Config, model: Autoencoder) -> None:
        """Set up what the objective needs besides; it takes no options unless it says so."""
        if config.objective_options:
            raise ValueError(
                f"objective_options are {config.objective_options}; {config.objective!r} takes none"
            )

    @abstractmethod
    def loss(self, output: Output, x: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch, 0-d, and named parts of it for the record."""

    def adapt(self, output: Output, x: Tensor, step: int) -> dict[str, Tensor]:
        """Let learn what learns beside, after the autoencoder's step; named figures of it."""
        return {}


def squared_error(output: Output, x: Tensor) -> Tensor:
    """Mean squared error of a batch, in float32 or better."""
    return (output.reconstruction.float() - x).square().mean()


class SquaredObjective(Objective):
    """``mse / variance``: 1 for a model that knows the mean alone, whatever the data."""

    def loss(self, output: Output, x: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error over the variance of the data."""
        return squared_error(output, x) / self.variance, {}


class LogSquaredObjective(Objective):
    """``D / (2 L) log mse``, D numbers and L latents an image: the evidence bound of SQ-VAE.

    That is the bound a latent up to a constant, to which `solvq.vector` layer ``stochastic`` adds
    its own loss a latent (Takida et al., ICML 2022, equation 10).
    """

    FLOOR: ClassVar[float] = 1e-8  # of the squared error, below which its log is cut

    def loss(self, output: Output, x: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Half the numbers of a latent's share of an image, times the log of the squared error."""
        per_latent = x[0].numel() / output.latents[0, 0].numel()
        mse = squared_error(output, x)
        return per_latent / 2 * mse.clamp_min(self.FLOOR).log(), {}
