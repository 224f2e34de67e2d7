"""What a layer returns, and what its hook does."""

from __future__ import annotations

from typing import NamedTuple, cast

from torch import Tensor


class Quantized(NamedTuple):
    """What a layer returns for latents (B, dim, *spatial) or (N, dim).

    ``values`` have shape and dtype of the latents. ``indices`` are int64 (B, *spatial) or (N,),
    with a last axis where a latent has several. ``loss`` is 0-d, in the precision computed in.
    ``weights`` are those of a soft layer, else None: (B, *spatial, n_codes) or (N, n_codes), and of
    a sparse layer one beside each index.
    """

    values: Tensor
    indices: Tensor
    loss: Tensor
    weights: Tensor | None = None


class Assigned(NamedTuple):
    """What the hook returns for rows (N, dim): as `Quantized`, but one ``loss`` a row, (N,).

    ``targets`` are the rows that the codeword of each index stands for, one tensor a level; empty
    means the rows themselves. ``gap`` (N,) is proven: a row's objective is at most so far above
    its minimum.
    """

    values: Tensor
    indices: Tensor
    loss: Tensor
    weights: Tensor | None = None
    targets: tuple[Tensor, ...] = ()
    gap: Tensor | None = None

    @property
    def mix(self) -> Tensor:
        """The weights, of a layer that has them."""
        return cast(Tensor, self.weights)
