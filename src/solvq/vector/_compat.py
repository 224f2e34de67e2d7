"""The call of `vector_quantize_pytorch.VectorQuantize`, for code written for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from solvq.vector._parameters import check_flag, check_size
from solvq.vector._rotation import RotationQuantizer

REMEDIES = {
    "kmeans_init": "call layer.initialise(z) before training",
    "threshold_ema_dead_code": "call layer.revive(z) between steps",
    "learnable_codebook": "use solvq.vector.NearestQuantizer",
    "straight_through": "use solvq.vector.NearestEmaQuantizer",
    "rotation_trick": "leave it out for the rotation trick, or use NearestEmaQuantizer",
    "stochastic_sample_codes": "use solvq.vector.GumbelQuantizer",
    "affine_param": "use solvq.vector.AffineQuantizer",
    "sync_codebook": "leave it out; statistics are shared whenever ranks train together",
}


class VectorQuantize(nn.Module):
    """`RotationQuantizer` with the arguments and returns of `vector_quantize_pytorch`'s layer.

    Its ``layer`` is a `RotationQuantizer`, the method behind the original's defaults, with
    `initialise`, `revive` and `usage`. As in the original, masked latents give 0 and index -1,
    and the loss is 0 outside training; what the original does by itself is asked for there.

    Parameters
    ----------
    dim : int
        Length of what comes in and goes out.
    codebook_size : int
        Number of codewords.
    codebook_dim : int, optional
        Length of codewords; another one than ``dim`` puts linear maps before and after.
    decay : float, default 0.8
        Share of the old averages that a batch leaves.
    commitment_weight : float, default 1.0
        Weight of the commitment loss.
    channel_last : bool, default True
        Whether inputs are (B, N, dim), else (B, dim, N); (N, dim) is always taken.
    accept_image_fmap : bool, default False
        Whether inputs are (B, dim, H, W).
    **others
        No others are taken; the error says what serves instead.

    Raises
    ------
    TypeError, ValueError
        For arguments not taken or out of range.
    """

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        codebook_dim: int | None = None,
        decay: float = 0.8,
        commitment_weight: float = 1.0,
        channel_last: bool = True,
        accept_image_fmap: bool = False,
        **others: Any,
    ) -> None:
        super().__init__()
        if others:
            hints = [f"{name} ({REMEDIES.get(name, 'no equivalent')})" for name in others]
            raise TypeError(f"arguments not taken: {', '.join(hints)}; leave them out")
        self.dim = check_size("dim", dim)
        self.channel_last = check_flag("channel_last", channel_last)
        self.accept_image_fmap = check_flag("accept_image_fmap", accept_image_fmap)
        inner = self.dim if codebook_dim is None else check_size("codebook_dim", codebook_dim)
        self.project_in = nn.Identity() if inner == dim else nn.Linear(dim, inner)
        self.project_out = nn.Identity() if inner == dim else nn.Linear(inner, dim)
        self.layer = RotationQuantizer(inner, codebook_size, decay, commitment_weight)

    @property
    def codebook(self) -> Tensor:
        """Codewords (codebook_size, codebook_dim)."""
        return self.layer.codebook

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Quantized ``x``, int64 indices and the commitment loss.

        Parameters
        ----------
        x : Tensor
            In the layout that the layer was built for.
        mask : Tensor of bool, (B, N), (N,) or (B, H, W), optional
            Latents to quantize.

        Raises
        ------
        TypeError, ValueError
            For other layouts, kinds and shapes.
        """
        place = self._channel(x)
        rows = self.project_in(x.movedim(place, -1))
        if mask is not None and mask.shape != rows.shape[:-1]:
            raise ValueError(f"mask has shape {tuple(mask.shape)}; give {tuple(rows.shape[:-1])}")
        found = self.layer(rows.flatten(0, -2), None if mask is None else mask.flatten())
        values = self.project_out(found.values.reshape(rows.shape)).to(x.dtype)
        indices = found.indices.reshape(rows.shape[:-1])
        if mask is not None:
            values = torch.where(mask.unsqueeze(-1), values, 0)
            indices = torch.where(mask, indices, -1)
        loss = found.loss if self.training else torch.zeros_like(found.loss)
        return values.movedim(-1, place), indices, loss

    def _channel(self, x: Tensor) -> int:
        """Place of the latent's axis, or raise for another layout."""
        n_axes = 4 if self.accept_image_fmap else 3
        last = x.ndim == 2 or (self.channel_last and not self.accept_image_fmap)
        place = x.ndim - 1 if last else 1
        allowed = (n_axes,) if self.accept_image_fmap else (2, n_axes)
        if x.ndim not in allowed or x.shape[place] != self.dim:
            wanted = "(B, dim, H, W)" if self.accept_image_fmap else "(B, N, dim) or (N, dim)"
            if not self.channel_last and not self.accept_image_fmap:
                wanted = "(B, dim, N) or (N, dim)"
            raise ValueError(f"x has shape {tuple(x.shape)}; give {wanted} with dim {self.dim}")
        return place
