"""What a layer is given, as rows: layout, mask, precision and rows that are not finite."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from solvq.vector._check import check_floating

NanPolicy = Literal["raise", "omit"]


class Batch(NamedTuple):
    """Rows (N, dim) to quantize, zero where they are dropped, and which ones to ``keep``.

    ``keep`` is None where every row counts. ``mask`` and ``finite`` (None: all) say why a row does
    not: it is passed through, or it is NaN in the result.
    """

    rows: Tensor
    keep: Tensor | None
    mask: Tensor | None
    finite: Tensor | None

    def mean(self, loss: Tensor) -> Tensor:
        """Mean of one number a row over the rows kept; 0 with a gradient where there is none."""
        if self.keep is None:
            return loss.sum() / max(loss.shape[0], 1)
        return torch.where(self.keep, loss, 0).sum() / self.keep.sum().clamp_min(1)

    def ones(self) -> Tensor:
        """One integer a row: 1 where it is kept."""
        if self.keep is None:
            return torch.ones(self.rows.shape[0], dtype=torch.int64, device=self.rows.device)
        return self.keep.to(torch.int64)

    def cleared(self, entries: Tensor) -> Tensor:
        """Entries (N, ...) of rows with 0 for those that are dropped."""
        if self.keep is None:
            return entries
        return torch.where(self.keep.view((-1,) + (1,) * (entries.ndim - 1)), entries, 0)

    def kept(self) -> Tensor:
        """The rows kept; of a size that depends on the data."""
        return self.rows if self.keep is None else self.rows[self.keep]


def check_latents(z: Any, dim: int) -> None:
    """Raise unless ``z`` is a floating tensor (N, dim) or (B, dim, *spatial)."""
    check_floating("z", z)
    if z.ndim < 2 or z.shape[1] != dim:
        raise ValueError(
            f"z has shape {tuple(z.shape)}; give (N, {dim}) or (B, {dim}, *spatial), or move the "
            "latent's axis to place 1"
        )


def check_mask(mask: Any, z: Tensor) -> None:
    """Raise unless ``mask`` is boolean with one entry for each latent of ``z``."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"mask is {got}; give a tensor of torch.bool, True where a latent counts")
    if mask.shape != z.shape[:1] + z.shape[2:]:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}; z of shape {tuple(z.shape)} needs "
            f"{tuple(z.shape[:1] + z.shape[2:])}"
        )


def to_rows(z: Tensor) -> Tensor:
    """Latents (N, dim) or (B, dim, *spatial) as rows."""
    return z if z.ndim == 2 else z.movedim(1, -1).flatten(0, -2)


def from_rows(rows: Tensor, like: Tensor) -> Tensor:
    """Rows (N, dim) in the layout of the latents ``like``."""
    if like.ndim == 2:
        return rows
    return rows.reshape(*like.shape[:1], *like.shape[2:], rows.shape[1]).movedim(-1, 1)


def per_latent(entries: Tensor, like: Tensor) -> Tensor:
    """Entries (N, ...) of rows as (B, *spatial, ...), following the latents ``like``."""
    return entries.reshape(*like.shape[:1], *like.shape[2:], *entries.shape[1:])


def _raise_unless_finite(rows: Tensor) -> None:
    """Raise for rows with NaN or infinity; in a compiled graph through an assertion inside it."""
    if torch.compiler.is_compiling():
        finite = (rows - rows).detach().sum() == 0  # x - x is 0 or NaN
        torch._assert_async(finite, "z holds NaN or infinity")
        return
    if bool(torch.isfinite(rows.detach().sum())):
        return  # one pass; the sum of finite numbers may overflow, so the count below decides
    bad = int((~torch.isfinite(rows).all(1)).sum())
    if bad:
        raise ValueError(
            f"z holds NaN or infinity in {bad} of {len(rows)} latents; give finite numbers, mask "
            "those latents, or build the layer with nan_policy='omit'"
        )


def to_batch(z: Tensor, mask: Tensor | None, dtype: torch.dtype, nan_policy: NanPolicy) -> Batch:
    """Rows of checked latents in ``dtype``; gradients flow to the rows kept."""
    rows = to_rows(z).to(dtype)
    keep = None if mask is None else mask.reshape(-1)
    if keep is not None:
        rows = torch.where(keep.unsqueeze(1), rows, 0)
    if nan_policy == "raise":
        _raise_unless_finite(rows)
        return Batch(rows, keep, keep, None)
    finite = torch.isfinite(rows.detach().abs().amax(1))
    rows = torch.where(finite.unsqueeze(1), rows, 0)
    return Batch(rows, finite if keep is None else keep & finite, keep, finite)


def restore(values: Tensor, batch: Batch, z: Tensor) -> Tensor:
    """Quantized rows in layout and dtype of ``z``; masked latents as given, omitted ones NaN."""
    values = values.to(z.dtype)
    if batch.finite is not None:
        values = torch.where(batch.finite.unsqueeze(1), values, torch.nan)
    if batch.mask is not None:
        values = torch.where(batch.mask.unsqueeze(1), values, to_rows(z))
    return from_rows(values, z)
