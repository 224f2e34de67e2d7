"""How many bits the indices of a layer take, and how evenly it uses its codes."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Rate(NamedTuple):
    """Bits per latent.

    ``nominal`` is log2 of the number of states of a latent's code; ``entropy`` is that of what was
    counted since `VectorQuantizer.reset_usage`, as the layer says, nan where nothing was.
    """

    nominal: float
    entropy: float


class Usage(NamedTuple):
    """How the codes were used since `VectorQuantizer.reset_usage`; nan where nothing was counted.

    ``hard_perplexity`` is exp of the entropy (nats) of the counted indices, ``soft_perplexity`` of
    the mean weights, nan for a layer without; the two are not comparable. Both lie between 1 and
    the number of codes; with several indices a latent, the mean entropy of the levels counts.
    ``used`` is the share of codes counted at least once.
    """

    hard_perplexity: float
    soft_perplexity: float
    used: float


def histogram(indices: Tensor, ones: Tensor, n_levels: int, n_codes: int) -> Tensor:
    """How often each code occurs, (n_levels * n_codes,) int64.

    ``indices`` are (N,) or (N, s); level l of several counts from ``l * n_codes``. ``ones`` says
    how often each row (N,) or index (N, s) counts.
    """
    flat = indices if indices.ndim == 2 else indices.unsqueeze(1)
    if n_levels > 1:
        flat = flat + torch.arange(n_levels, device=flat.device) * n_codes
    times = (ones if ones.ndim == 2 else ones.unsqueeze(1)).expand_as(flat).reshape(-1)
    counts = torch.zeros(n_levels * n_codes, dtype=torch.int64, device=flat.device)
    return counts.index_add_(0, flat.reshape(-1), times)


def entropies(counts: Tensor) -> Tensor:
    """Entropy in nats of each row of nonnegative counts or weights (L, K), float64; nan for 0."""
    share = counts.detach().to("cpu", torch.float64)
    share = share / share.sum(1, keepdim=True)
    return -torch.special.xlogy(share, share).sum(1) + 0.0


def rate(counts: Tensor) -> Rate:
    """Bits per latent of levels with the counts (L, K)."""
    bits = counts.shape[0] * math.log2(counts.shape[1])
    return Rate(bits, float(entropies(counts).sum()) / math.log(2))


def usage(counts: Tensor, weights: Tensor | None) -> Usage:
    """Report on counts (L, K) and, where a layer has them, summed weights (K,)."""
    hard = math.exp(float(entropies(counts).mean()))
    soft = math.nan if weights is None else math.exp(float(entropies(weights[None])[0]))
    used = float((counts > 0).double().mean()) if int(counts.sum()) else math.nan
    return Usage(hard, soft, used)
