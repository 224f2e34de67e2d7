"""The objective of the VQGAN: squared and perceptual error, and a discriminator to deceive."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from solvq.train._check import check_choice, check_range
from solvq.train._discriminator import (
    SMALLEST,
    PatchDiscriminator,
    discriminator_hinge,
    generator_hinge,
)
from solvq.train._features import AUTO, FEATURES, FeatureNetwork, load_features, perceptual
from solvq.train._objective import Objective, squared_error
from solvq.train._parallel import average, average_gradients

if TYPE_CHECKING:
    from solvq.train._autoencoder import Autoencoder, Output
    from solvq.train._config import Config

LARGEST = 1e4  # of the adaptive weight
BETAS = (0.5, 0.9)  # of the discriminator's Adam


@dataclass(frozen=True, kw_only=True)
class AdversarialOptions:
    """What ``objective_options`` of the adversarial objective may hold.

    Parameters
    ----------
    perceptual : str
        Entry of `FEATURES`, or "auto": the first whose weights are on this machine.
    perceptual_weight : float
        Of the perceptual distance; 0 leaves it out.
    adversarial_weight : float
        Of the adversarial gradient, in units of that of the reconstruction.
    adversarial_start : float
        Share of the steps after which the discriminator begins to learn and to be deceived.
    discriminator_width : int
        Channels of the first layer of the discriminator.
    discriminator_lr : float
        Its learning rate, the same at all steps.

    Raises
    ------
    ValueError
        For names that do not exist and numbers out of range.
    """

    perceptual: str = AUTO
    perceptual_weight: float = 1.0
    adversarial_weight: float = 0.1
    adversarial_start: float = 0.5
    discriminator_width: int = 64
    discriminator_lr: float = 2e-4

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        name = "objective_options[{!r}]".format
        check_choice(name("perceptual"), self.perceptual, (AUTO, *FEATURES))
        check_range(name("perceptual_weight"), self.perceptual_weight, 0)
        check_range(name("adversarial_weight"), self.adversarial_weight, 0)
        check_range(name("adversarial_start"), self.adversarial_start, 0, 1)
        check_range(name("discriminator_width"), self.discriminator_width, 1, whole=True)
        check_range(name("discriminator_lr"), self.discriminator_lr, 0)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> AdversarialOptions:
        """Options by name; unknown names are refused."""
        known = [one.name for one in fields(cls)]
        if strange := sorted(set(given) - set(known)):
            raise ValueError(
                f"objective_options hold {', '.join(strange)}; the adversarial objective takes "
                f"{', '.join(known)}"
            )
        return cls(**given)


class AdversarialObjective(Objective):
    """``mse / variance + w_p d_p + w_a l_a hinge``: true to the image, to its look, to its kind.

    d_p is the perceptual distance on a feature network, which the name of its figure says. The
    hinge loss is that of a patch discriminator, which learns beside. Its weight adapts: l_a is the
    ratio of the norms of the gradients of the two other terms together and of the hinge with
    respect to the decoder's last layer, at most 1e4. Before the start both are left out.

    A departure from the source: the squared error over the variance stands for the absolute error,
    so that the bottleneck's loss weighs the same as under the plain objective.

    References
    ----------
    Esser, Rombach and Ommer, "Taming transformers for high-resolution image synthesis", CVPR 2021,
    equations 5 to 7.
    """

    optimizer: torch.optim.Optimizer

    def configure(self, config: Config, model: Autoencoder) -> None:
        """Load the feature network, and set up the discriminator and its optimiser."""
        options = AdversarialOptions.from_dict(config.objective_options)
        if config.precision == "float16":
            raise ValueError(
                "precision is 'float16', in which gradients of the discriminator vanish; choose "
                "float32 or bfloat16"
            )
        if config.size is not None and config.size < SMALLEST:
            raise ValueError(
                f"size is {config.size}; a patch discriminator needs at least {SMALLEST} pixels"
            )
        self.options = options
        self.dtype = getattr(torch, config.precision)
        self.begin = round(options.adversarial_start * config.steps)
        self.network: FeatureNetwork | None = None
        if options.perceptual_weight:
            self.network = load_features(options.perceptual)
        self.discriminator = PatchDiscriminator(options.discriminator_width)
        self.optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=options.discriminator_lr, betas=BETAS
        )
        self.last = (
            model.decoder.get_parameter("last.weight"),
        )  # in a tuple: the model's, not ours

    def loss(self, output: Output, x: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch; the discriminator itself gets no gradient.

        Gradients with respect to the reconstruction are taken here, since the adaptive weight
        needs them, and handed on instead of being computed again by the caller's backward.
        """
        image = output.reconstruction.float()
        seen = output._replace(reconstruction=image)
        likeness = squared_error(seen, x) / self.variance
        figures = {}
        if self.network is not None:
            distance = perceptual(self.network, image, x).mean()
            likeness = likeness + self.options.perceptual_weight * distance
            figures[f"perceptual_{self.network.name}"] = distance.detach()
        if step < self.begin or not image.requires_grad:
            return likeness, figures
        deceit = generator_hinge(self.discriminator(image))
        (pull,) = torch.autograd.grad(likeness, image)
        (push,) = torch.autograd.grad(deceit, image)
        adaptive = self.adaptive_weight(image, pull, push)
        weight = self.options.adversarial_weight * adaptive
        figures |= {"hinge": deceit.detach(), "adaptive_weight": adaptive}
        total = likeness.detach() + weight * deceit.detach()
        return handed_on(total, image, pull + weight * push), figures

    def adaptive_weight(self, image: Tensor, pull: Tensor, push: Tensor) -> Tensor:
        """Ratio of the norms of two gradients, given at the image, at the decoder's last layer.

        Gradients are averaged over all processes first, so that these agree.
        """
        both = [
            torch.autograd.grad(image, self.last, gradient, retain_graph=True)[0]
            for gradient in (pull, push)
        ]
        average(both)
        ratio = both[0].norm() / (both[1].norm() + 1e-6)
        return ratio.clamp(0, LARGEST)

    def adapt(self, output: Output, x: Tensor, step: int) -> dict[str, Tensor]:
        """One step of the discriminator on a batch and its reconstruction."""
        if step < self.begin:
            return {}
        made = output.reconstruction.detach().float()
        low = self.dtype != torch.float32
        with torch.autocast(x.device.type, self.dtype if low else None, enabled=low):
            score_true, score_made = self.discriminator(x), self.discriminator(made)
        loss = discriminator_hinge(score_true, score_made)
        self.optimizer.zero_grad()
        loss.backward()
        average_gradients(self.discriminator.parameters())
        self.optimizer.step()
        return {
            "discriminator_loss": loss.detach(),
            "score_true": score_true.detach().float().mean(),
            "score_made": score_made.detach().float().mean(),
        }

    def get_extra_state(self) -> Tensor:
        """The name of the feature network, as bytes: a run goes on with the one it began with."""
        name = "" if self.network is None else self.network.name
        return torch.tensor(list(name.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse the state of a run with another feature network."""
        found = bytes(state.tolist()).decode()
        if state.tolist() != self.get_extra_state().tolist():
            now = bytes(self.get_extra_state().tolist()).decode()
            raise RuntimeError(
                f"the run began with the feature network {found!r}, and {now!r} is what "
                f"{self.options.perceptual!r} gives here; install what {found!r} needs"
            )


def handed_on(value: Tensor, at: Tensor, gradient: Tensor) -> Tensor:
    """A value whose gradient with respect to ``at`` is the one given."""
    return value.detach() + ((at - at.detach()) * gradient.detach()).sum()
